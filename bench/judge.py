"""The judge: a third model, of another architecture and trained on other data, used only to measure.

The service never sees it, so nothing in the service can have been chosen to please it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from detectors.critic import CONFIG_FILE, WEIGHTS_FILE, critic_crop, probabilities, read_weights, to_input
from detectors.detections import Image
from training.judge_net import JUDGE_CONTEXT, JUDGE_PX, JudgeNet

JUDGE_DIR = Path(__file__).parent / "judge"


class Place(NamedTuple):
    """A part in a picture: its name (``hand``, ``limb``) and its box in pixels."""

    part: str
    xyxy: Sequence[float]


class Judge:
    """Says how malformed a part is."""

    def __init__(self, folder: Path = JUDGE_DIR) -> None:
        self._net = JudgeNet()
        self._net.load_state_dict(read_weights(folder / WEIGHTS_FILE))
        self._net.eval().requires_grad_(False)
        self._shifts: dict[str, float] = json.loads((folder / CONFIG_FILE).read_text("utf-8"))["shifts"]

    @torch.inference_mode()
    def malformed(self, images: Sequence[Image], places: Sequence[Place]) -> list[float]:
        """Probability in [0, 1] of malformed for one place in each image."""
        if not images:
            return []
        crops = [critic_crop(i, p.xyxy, JUDGE_PX, JUDGE_CONTEXT) for i, p in zip(images, places, strict=True)]
        return probabilities(self._net(to_input(crops))[:, 0], [place.part for place in places], self._shifts)
