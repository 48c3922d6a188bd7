"""The tone of a redrawn patch's ground, brought back to that of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.detections import Image
from service.repair.tiles import Ask, Tile, bands, go_on

SAME, OTHER = 10.0, 30.0
"""Up to such a difference, of 255, a pixel shows what it showed before; from such a one something else."""
MOST_GROUND_SHIFT = 20.0
GROUND_SIGMA_SHARE, LEAST_KNOWN = 0.08, 0.05
"""How far a tint is carried, as a share of the patch, and how much of the same must be near for all of it."""
SAME_SIGMA_PX = 1.5
MOST_CELLS = 256
"""Each way. The tint is smooth over a twelfth of the longer side, so that it needs no more."""
CELL_VARIANCE = 1 / 12 + 1 / 6
"""In cells: taking means over cells and interpolating between them is a blur by itself."""

Floats = NDArray[np.float32]


def match_ground(patch: Image, original: Image, ask: Ask = go_on) -> Image:
    """Shifts a patch, place by place, to the tone of what it shows just as the original did.

    A model redraws the ground around a limb too, in a tone of its own or a little mottled, and it is seen
    as a box. Where both show the same their difference is that tint; it is carried over to where they
    do not (normalized convolution, Knutsson and Westin 1993). What is the same is told pixel by pixel; the
    tint is carried over cells, each of several pixels where the patch is large.

    Args:
        patch: uint8 RGB (H, W, 3), redrawn.
        original: the same part of the picture before.
        ask: called between two bands; what it raises ends the work.

    Returns:
        The patch, shifted by at most ``MOST_GROUND_SHIFT`` anywhere.
    """
    height, width = patch.shape[:2]
    shift = _shift_of_cells(patch, original, ask)
    across = cv2.resize(shift, (width, len(shift)), interpolation=cv2.INTER_LINEAR)
    result = np.empty(patch.shape, np.uint8)  # in plain order, whatever that of the patch is
    for band in bands((height, width)):
        ask()
        cv2.add(patch[band.inner], _rows_of(across, band, height), result[band.inner], dtype=cv2.CV_8U)
    return result


def _shift_of_cells(patch: Image, original: Image, ask: Ask) -> Floats:
    """What is to be added: float32 (rows, columns, 3), at most ``MOST_CELLS`` each way."""
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
    """The matrix (cells, cells) that blurs a line of cells as their pixels would be.

    Pixels are mirrored at the middle of the outermost one. In cells that lies between their outer edge and
    the middle of the outermost one, and so does the result between those of the two.
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
    """The difference times how much the same is shown, and that itself: float32 (H, W, 3 and 1)."""
    apart = cv2.absdiff(original[band.outer], patch[band.outer])
    largest = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2]).astype(np.float32)
    far = cv2.GaussianBlur(largest, (0, 0), SAME_SIGMA_PX)[band.core]
    same = np.clip((OTHER - far) / (OTHER - SAME), 0.0, 1.0)
    difference = cv2.subtract(original[band.inner], patch[band.inner], dtype=cv2.CV_32F)
    return np.dstack((difference * same[..., None], same))


def _shares(lines: slice, length: int, cells: int) -> tuple[int, Floats]:
    """The first of the cells that these lines reach, and for each of them its mean's weights of the lines."""
    cell_px = length / cells
    first, last = int(lines.start / cell_px), min(cells, math.ceil(lines.stop / cell_px))
    edges = np.arange(first, last + 1)[:, None] * cell_px
    line = np.arange(lines.start, lines.stop)
    overlap = np.minimum(edges[1:], line + 1) - np.maximum(edges[:-1], line)
    return first, (np.maximum(overlap, 0.0) / cell_px).astype(np.float32)


def _rows_of(cells: Floats, band: Tile, height: int) -> Floats:
    """A band's rows, interpolated between the rows of cells."""
    rows = band.inner[0]
    at = (np.arange(rows.start, rows.stop) + 0.5) * len(cells) / height - 0.5
    at = np.clip(at, 0, len(cells) - 1)
    above = np.minimum(at.astype(int), max(0, len(cells) - 2))
    below = np.minimum(above + 1, len(cells) - 1)
    share = (at - above).astype(np.float32)[:, None, None]
    return np.asarray(cells[above] * (1 - share) + cells[below] * share, np.float32)
