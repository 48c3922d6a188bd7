"""Geometry of latents: packing, and the latent cells of a mask or box in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.detections import Box, Mask


@dataclass(frozen=True, slots=True)
class Packing:
    """The grid of latents that a pipeline packs as a row of 2 x 2 patches, as Flux does.

    Attributes:
        cells_hw: numbers of rows and columns of the grid, both even.
    """

    cells_hw: tuple[int, int]

    @classmethod
    def of(cls, pipeline: Any, height: int, width: int) -> Packing | None:
        """Returns the packing of a pipeline's latents at this size in pixels; None if they are not packed."""
        if not hasattr(pipeline, "_pack_latents"):
            return None
        patch_px = 2 * int(pipeline.vae_scale_factor)
        return cls((2 * (height // patch_px), 2 * (width // patch_px)))

    def unpack(self, packed: Tensor) -> Tensor:
        """Unpacks latents (B, patches, 4 C) to (B, C, rows, columns)."""
        rows, columns = self.cells_hw
        patches = packed.transpose(1, 2).reshape(len(packed), -1, rows // 2, columns // 2)
        return F.pixel_shuffle(patches, 2)

    def pack(self, latents: Tensor) -> Tensor:
        """Packs latents (B, C, rows, columns) to (B, patches, 4 C)."""
        return F.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)


def mask_to_cells(mask: Mask, cells_hw: tuple[int, int]) -> Tensor:
    """Reduces a mask of pixels to latent cells; each cell gets the largest value inside it.

    Args:
        mask: float32 (H, W) in [0, 1].
        cells_hw: numbers of rows and columns.

    Returns:
        float32 (1, 1, rows, columns) in [0, 1], above 0 wherever a pixel of the cell is.
    """
    return F.adaptive_max_pool2d(torch.from_numpy(mask).float()[None, None], cells_hw)


def cells_around(
    xyxy: tuple[float, float, float, float],
    image_hw: tuple[int, int],
    cells_hw: tuple[int, int],
    context: float,
) -> Box:
    """Returns a square of latent cells around a box of pixels, moved and cut to fit the picture.

    Args:
        xyxy: box in pixels.
        image_hw: height and width in pixels.
        cells_hw: numbers of rows and columns of the latents.
        context: side of the square as a multiple of the box's longer side.

    Returns:
        x1, y1, x2, y2 in cells, half-open, at least one cell each way.
    """
    x1, y1, x2, y2 = xyxy
    side = max(x2 - x1, y2 - y1) * context
    found = []
    for low, high, length, cells in ((x1, x2, image_hw[1], cells_hw[1]), (y1, y2, image_hw[0], cells_hw[0])):
        start = min(max((low + high - side) / 2, 0.0), max(length - side, 0.0))
        first = min(math.floor(start * cells / length), cells - 1)
        last = min(max(math.ceil((start + side) * cells / length), first + 1), cells)
        found.append((first, last))
    (left, right), (top, bottom) = found
    return left, top, right, bottom
