"""The network of the bench's judge, of another architecture than the critic's."""

from __future__ import annotations

from torchvision.models.densenet import DenseNet

JUDGE_PX, JUDGE_CONTEXT = 112, 1.45


class JudgeNet(DenseNet):  # type: ignore[misc]  # torchvision's types cannot be read in strict mode
    """A narrow DenseNet with one output, the logit of "malformed"."""

    def __init__(self) -> None:
        super().__init__(growth_rate=16, block_config=(3, 5, 7, 5), num_init_features=24, num_classes=1)
