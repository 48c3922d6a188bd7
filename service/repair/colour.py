"""Detection of foreign colours in a redrawn area, such as another sleeve or other trousers."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detectors.detections import Image, Mask

MOST_PX = 128
SMOOTH_SIGMA_PX = 1.0
WEIGHTS = np.array([0.5, 1.0, 1.0], np.float32)
"""Weights of L*, a* and b*: folds and shadows change the lightness; only another hue is another cloth."""
CELL = np.array([8.0, 5.0, 5.0], np.float32)
CELL_CODE = np.array([1 << 20, 1 << 10, 1], np.int64)
LEAST_OF_A_CELL = 3
"""Least number of pixels of a colour in the picture; fewer are the edge between two colours."""
EXACT = "donot_use_mm_for_euclid_dist"
"""Mode of ``torch.cdist``; the faster one, by products, loses digits where two colours are close."""
FAR = 12.0
"""Distance in L*a*b*, lightness weighted by half, at which two colours differ at a glance."""


def foreign_colour(before: Image, after: Image, mask: Mask) -> float:
    """Returns the share of the redrawn area with a colour that was nowhere in the window before.

    Args:
        before: uint8 RGB (H, W, 3), the original window: the part and its surroundings.
        after: the same after compositing.
        mask: float32 (H, W), the composite mask.

    Returns:
        Share of the mask's area, in [0, 1].
    """
    height, width = mask.shape
    scale = min(1.0, MOST_PX / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    inside = cv2.resize(mask, size_wh, interpolation=cv2.INTER_AREA) > 0.5
    if not inside.any():
        return 0.0
    known = _palette(_lab(before, size_wh).reshape(-1, 3))
    drawn = _lab(after, size_wh)[inside]
    distances = torch.cdist(
        torch.from_numpy(drawn * WEIGHTS), torch.from_numpy(known * WEIGHTS), compute_mode=EXACT
    )
    return float((distances.amin(dim=1) > FAR).double().mean())


def _lab(picture: Image, size_wh: tuple[int, int]) -> NDArray[np.float32]:
    small = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(small, (0, 0), SMOOTH_SIGMA_PX)
    return np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)


def _palette(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the colours (N, 3) that occur often enough; all of them if none does."""
    cells = np.rint(colours / CELL).astype(np.int64)
    # One number for each cell: numbers sort ten times faster than rows.
    _, first, counts = np.unique(cells @ CELL_CODE, return_index=True, return_counts=True)
    often = first[counts >= LEAST_OF_A_CELL]
    return np.asarray(cells[often if len(often) else first] * CELL, np.float32)
