"""Tone correction of a redrawn patch's ground to that of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.detections import Image
from service.repair.tiles import Ask, Tile, bands, go_on

SAME, OTHER = 10.0, 30.0
"""Differences, of 255: up to the first a pixel shows the same content; from the second on, another."""
MOST_GROUND_SHIFT = 20.0
GROUND_SIGMA_SHARE, LEAST_KNOWN = 0.08, 0.05
"""Reach of a tint as a share of the patch, and the share of same content nearby for its full strength."""
SAME_SIGMA_PX = 1.5
MOST_CELLS = 256
"""Largest number of cells each way. The tint is smooth over a twelfth of the longer side."""
CELL_VARIANCE = 1 / 12 + 1 / 6
"""Variance, in cells, of the blur by means over cells and interpolation between them."""

Floats = NDArray[np.float32]


def match_ground(patch: Image, original: Image, ask: Ask = go_on) -> Image:
    """Shifts a patch locally to the original's tone, as estimated where both show the same content.

    A model also redraws the ground around a limb, in a tone of its own or a little mottled, which is visible
    as a box. Where both show the same content, their difference is that tint. It is interpolated to the
    rest (normalized convolution, Knutsson and Westin 1993). Equality is decided pixel by pixel; the tint is
    interpolated over cells, each of several pixels in a large patch.

    Args:
        patch: uint8 RGB (H, W, 3), redrawn.
        original: the same part of the picture before.
        ask: called between two bands; an exception from it ends the work.

    Returns:
        The patch, shifted by at most ``MOST_GROUND_SHIFT`` anywhere.
    """
    height, width = patch.shape[:2]
    shift = _shift_of_cells(patch, original, ask)
    across = cv2.resize(shift, (width, len(shift)), interpolation=cv2.INTER_LINEAR)
    result = np.empty(patch.shape, np.uint8)  # in C order, whatever the order of the patch
    for band in bands((height, width)):
        ask()
        cv2.add(patch[band.inner], _rows_of(across, band, height), result[band.inner], dtype=cv2.CV_8U)
    return result


def _shift_of_cells(patch: Image, original: Image, ask: Ask) -> Floats:
    """Returns the shift to add: float32 (rows, columns, 3), at most ``MOST_CELLS`` each way."""
    height, width = patch.shape[:2]
    rows, columns = min(height, MOST_CELLS), min(width, MOST_CELLS)
    means = np.zeros((rows, columns, 4), np.float32)
    for band in bands((height, width), halo_px=math.ceil(4 * SAME_SIGMA_PX)):
        ask()
        weighted = _weighted_difference(patch, original, band)
        narrow = cv2.resize(weighted, (columns, len(weighted)), interpolation=cv2.INTER_AREA)
        first, shares = _shares(band.inner[0], height, rows)
        means[first : first + len(shares)] += np.tensordot(shares, narrow, 1)
    sigma_px = max(height, width) * GROUND_SIGMA_SHARE
    down, across = _blur(rows, sigma_px, height / rows), _blur(columns, sigma_px, width / columns)
    carried = down @ means.transpose(2, 0, 1) @ across.T
    shift = carried[:3] / (carried[3] + LEAST_KNOWN)
    return np.ascontiguousarray(np.clip(shift, -MOST_GROUND_SHIFT, MOST_GROUND_SHIFT).transpose(1, 2, 0))


def _blur(cells: int, sigma_px: float, cell_px: float) -> Floats:
    """Returns the matrix (cells, cells) that blurs a line of cells like a blur of their pixels.

    Pixels are mirrored at the middle of the outermost pixel. In cells, that point lies between the outer edge
    and the middle of the outermost cell, so the results of these two are interpolated.
    """
    variance = (sigma_px / cell_px) ** 2 - CELL_VARIANCE * (1 - cell_px**-2)
    kernel = cv2.getGaussianKernel(round(8 * sigma_px / cell_px + 1) | 1, math.sqrt(variance), cv2.CV_32F)
    each, still = np.eye(cells, dtype=np.float32), np.ones(1, np.float32)
    at_middle, at_edge = (
        cv2.sepFilter2D(each, cv2.CV_32F, still, kernel, borderType=mirror)
        for mirror in (cv2.BORDER_REFLECT_101, cv2.BORDER_REFLECT)
    )
    return np.asarray(at_middle / cell_px + at_edge * (1 - 1 / cell_px), np.float32)


def _weighted_difference(patch: Image, original: Image, band: Tile) -> Floats:
    """Returns the difference weighted by equality of content, and the weight: float32 (H, W, 3 and 1)."""
    apart = cv2.absdiff(original[band.outer], patch[band.outer])
    largest = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2]).astype(np.float32)
    far = cv2.GaussianBlur(largest, (0, 0), SAME_SIGMA_PX)[band.core]
    same = np.clip((OTHER - far) / (OTHER - SAME), 0.0, 1.0)
    difference = cv2.subtract(original[band.inner], patch[band.inner], dtype=cv2.CV_32F)
    return np.dstack((difference * same[..., None], same))


def _shares(lines: slice, length: int, cells: int) -> tuple[int, Floats]:
    """Returns the first cell that these lines reach, and for each such cell the weights of the lines."""
    cell_px = length / cells
    first, last = int(lines.start / cell_px), min(cells, math.ceil(lines.stop / cell_px))
    edges = np.arange(first, last + 1)[:, None] * cell_px
    line = np.arange(lines.start, lines.stop)
    overlap = np.minimum(edges[1:], line + 1) - np.maximum(edges[:-1], line)
    return first, (np.maximum(overlap, 0.0) / cell_px).astype(np.float32)


def _rows_of(cells: Floats, band: Tile, height: int) -> Floats:
    """Interpolates a band's rows between the rows of cells."""
    rows = band.inner[0]
    at = (np.arange(rows.start, rows.stop) + 0.5) * len(cells) / height - 0.5
    at = np.clip(at, 0, len(cells) - 1)
    above = np.minimum(at.astype(int), max(0, len(cells) - 2))
    below = np.minimum(above + 1, len(cells) - 1)
    share = (at - above).astype(np.float32)[:, None, None]
    return np.asarray(cells[above] * (1 - share) + cells[below] * share, np.float32)
