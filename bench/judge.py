"""The judge: a third model, of another architecture and trained on other data, used only to measure.

The service never sees it, so nothing in the service can have been chosen to please it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from numpy.typing import ArrayLike

from detectors.critic import WEIGHTS_FILE, critic_crop, read_weights, to_input
from detectors.detections import Image
from training.judge_net import JUDGE_CONTEXT, JUDGE_PX, JudgeNet

JUDGE_DIR = Path(__file__).parent / "judge"


class Judge:
    """Says how malformed a part is."""

    def __init__(self, folder: Path = JUDGE_DIR) -> None:
        self._net = JudgeNet()
        self._net.load_state_dict(read_weights(folder / WEIGHTS_FILE))
        self._net.eval().requires_grad_(False)

    @torch.inference_mode()
    def malformed(self, images: Sequence[Image], boxes: Sequence[ArrayLike]) -> list[float]:
        """Probability in [0, 1] of malformed for one box (xyxy, pixels) in each image."""
        if not images:
            return []
        crops = [critic_crop(i, b, JUDGE_PX, JUDGE_CONTEXT) for i, b in zip(images, boxes, strict=True)]
        return [float(p) for p in torch.sigmoid(self._net(to_input(crops))[:, 0])]
