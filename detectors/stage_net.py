"""The critic's second eye: a larger backbone that knows real pictures' hands, and how the two eyes agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectors.yolo_library import stage_backbone

PARTS = ("hand", "limb")
"""The outputs of a network that has one for each part."""
STAGES = (2, 4, 6, 8, 9, 10)
"""The layers of the backbone whose outputs are looked at."""
FIRST_PX = 160
FIRST_SHARE = 1.25 / 1.5
"""The middle of a crop that the first eye sees, and at what size: it was trained on closer crops."""


class StageNet(nn.Module):
    """The backbone of a YOLO26 detector, the mean and the maximum of each of its stages, linear outputs.

    The finest stages see nails and seams, the coarsest see a hand; a defect may show in any.
    """

    def __init__(self, size: str, outputs: int) -> None:
        super().__init__()
        self.layers = stage_backbone(size)
        with torch.inference_mode():
            width = self.eval().pooled(torch.zeros(1, 3, 64, 64)).shape[1]
        self.head = nn.Linear(width, outputs)

    def pooled(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] to (N, width): means and maxima, stage by stage."""
        seen = []
        for index, layer in enumerate(self.layers):
            pixels = layer(pixels)
            if index in STAGES:
                seen += [pixels.mean((2, 3)), pixels.amax((2, 3))]
        return torch.cat(seen, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, outputs)."""
        logits: Tensor = self.head(self.pooled(pixels * 0.5 + 0.5))
        return logits


class TwoEyedNet(nn.Module):
    """Two networks on one crop: the first knows the rendered world and limbs, the second real hands.

    The second one also tells how real the picture is, and by that the two words on a hand are mixed. Limbs
    are the first one's.
    """

    first_shift: Tensor

    def __init__(self, first: nn.Module, size: str) -> None:
        super().__init__()
        self.first = first
        self.second = StageNet(size, outputs=2)
        self.register_buffer("first_shift", torch.zeros(len(PARTS)))

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, 2): the logits of "malformed" for a hand and for a limb."""
        side = round(pixels.shape[-1] * FIRST_SHARE)
        start = (pixels.shape[-1] - side) // 2
        middle = pixels[:, :, start : start + side, start : start + side]
        closer = F.interpolate(
            middle, (FIRST_PX, FIRST_PX), mode="bilinear", align_corners=False, antialias=True
        )
        by_first = self.first(closer) - self.first_shift
        word, realness = self.second(pixels).unbind(1)
        real = torch.sigmoid(realness)
        hand = real * word + (1 - real) * by_first[:, 0]
        return torch.stack([hand, by_first[:, 1]], 1)
