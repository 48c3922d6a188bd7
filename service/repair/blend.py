"""Puts a redrawn patch into the picture: matched in tone, soft at the edge, and nothing else changed.

Whatever looks at single pixels goes tile by tile: a patch may be as large as the picture, and needs the
memory of one tile then. The results are those of one pass over the whole (the tests compare).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import masks
from detectors.detections import Box, Image, Mask
from service.repair.ground import MOST_GROUND_SHIFT, match_ground
from service.repair.tiles import Ask, Tile, go_on, tiles

MOST_SHIFT = 8.0
"""Most that one channel is shifted, of 255. More is not the model's tone but another picture."""
RING_SHARE = 1 / 32
SMOOTH_STEP = 2.0
"""A colour step per pixel, of 255, that nobody sees; keeps the ratio calm on flat ground."""
SMOOTH_GRAIN = 1.0
"""Grain, of 255, that nobody sees."""
BAND_SHARE = 1 / 16
EDGE_SIGMA_PX, GRAIN_SIGMA_PX = 1.5, 2.5
EDGE_REACH_PX, GRAIN_REACH_PX = 7, 10
"""How far the filters of a seam look: four sigmas, and one pixel for a gradient."""
AROUND_PX = 20
"""What of the surroundings is looked at for a seam; more than the filters need."""

__all__ = ["MOST_GROUND_SHIFT", "MOST_SHIFT", "composite", "laid_over", "match_ground", "match_tone", "seam"]

Floats = NDArray[np.float32]


def match_tone(patch: Image, original: Image, repainted: Mask) -> Image:
    """Shifts a patch's colours by what the model changed where it should have changed nothing.

    The ring just outside of what was repainted shows the same thing in both; its mean difference is the
    autoencoder's own tint.

    Args:
        patch: uint8 RGB (H, W, 3), redrawn.
        original: the same part of the picture before.
        repainted: float32 (H, W), above 0 where the model was free to draw.

    Returns:
        The patch, each channel shifted by at most ``MOST_SHIFT``.
    """
    width = max(2, round(max(repainted.shape) * RING_SHARE))
    near = _around(repainted, width)
    free = repainted[near]
    ring = (masks.grow(free, width) > 0) & (free <= 0)
    if not ring.any():
        return patch
    means = [picture[near][ring].mean(axis=0, dtype=np.float64) for picture in (original, patch)]
    shift = np.clip(means[0] - means[1], -MOST_SHIFT, MOST_SHIFT).astype(np.float32)
    levels = np.arange(256, dtype=np.float32)[:, None] + shift
    return np.asarray(cv2.LUT(patch, np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)[None]), np.uint8)


def composite(image: Image, patch: Image, box: Box, mask: Mask) -> Image:
    """A copy of the image with the patch under the mask. Where the mask is 0 nothing changes by a bit.

    Args:
        image: uint8 RGB (H, W, 3).
        patch: uint8 RGB, covers ``box``.
        box: where the patch lies; all of the mask above 0 lies in it.
        mask: float32 (H, W), the composite mask.
    """
    x1, y1, x2, y2 = box
    result = image.copy()
    _lay(patch, result[y1:y2, x1:x2], mask[y1:y2, x1:x2])
    return result


def laid_over(under: Image, patch: Image, mask: Mask) -> Image:
    """``composite`` of one part of a picture alone: a patch over what it covers, all of one size."""
    result = under.copy()
    _lay(patch, result, mask)
    return result


def _lay(patch: Image, under: Image, mask: Mask) -> None:
    """Writes into ``under``. A weight of 0 gives back what is there, since x + 0 · (y - x) is exactly x."""
    for tile in tiles(mask.shape):
        weight = mask[tile.inner][..., None]
        if weight.any():
            here = under[tile.inner]
            here[...] = np.rint(here + weight * (patch[tile.inner].astype(np.float32) - here))


def seam(before: Image, after: Image, patch: Image, mask: Mask, ask: Ask = go_on) -> float:
    """How much more the mask's edge can be seen than is in the nature of the thing; about 1 is not at all.

    The larger of two ratios: that of the colour step across the edge, and the root of that of the grain just
    inside it. Without the second, a patch of the right tone whose ground is mottled where the picture is
    smooth would have a clean seam; the root, because a limb that was not there before brings grain too.

    Args:
        before: uint8 RGB (H, W, 3).
        after: the same part after compositing.
        patch: the same part as it was redrawn, all of it.
        mask: float32 (H, W), the composite mask.
        ask: called between two tiles; what it raises ends the work.
    """
    band_px = max(3, round(max(mask.shape) * BAND_SHARE))
    near = _around(mask, AROUND_PX)
    before, after, patch, mask = before[near], after[near], patch[near], mask[near]
    step = _step_ratio((before, after, patch), mask, ask)
    return max(step, math.sqrt(_grain_ratio((before, after), mask, band_px, ask)))


def _step_ratio(pictures: Sequence[Image], mask: Mask, ask: Ask) -> float:
    """A step that either picture has there by itself is no seam: an arm that reaches across the edge.

    The pictures (before, after, drawn) are smoothed, because a step spread over a soft edge is still a step;
    then only the change straight across the edge counts, weighted by how steep the mask is.
    """
    steepest, weight, steps = 0.0, 0.0, np.zeros(3)
    for tile in tiles(mask.shape, halo_px=EDGE_REACH_PX):
        ask()
        here = mask[tile.outer]
        if here.min() == here.max():  # no edge
            continue
        down, right = _gradient(cv2.GaussianBlur(here, (0, 0), EDGE_SIGMA_PX), tile)
        steepness = np.hypot(down, right)
        edge = steepness > 0
        across = np.stack([down[edge], right[edge]])  # steepness times the unit vector across the edge
        steepest = max(steepest, float(steepness.max()))
        weight += float(steepness.sum(dtype=np.float64))
        steps += [_step(picture, across, edge, tile) for picture in pictures]
    if steepest < 1e-6:
        return 1.0
    old, new, drawn = steps / weight
    return float((new + SMOOTH_STEP) / (max(old, drawn) + SMOOTH_STEP))


def _grain_ratio(pictures: Sequence[Image], mask: Mask, band_px: int, ask: Ask) -> float:
    """Grain in a band inside the edge. The median, so that a finger reaching into the band does not count."""
    inside = (mask > 0.5).astype(np.uint8)
    # Beyond the picture is inside: where a mask is cut off by the frame there is no edge to be seen.
    band = (cv2.distanceTransform(inside, cv2.DIST_C, cv2.DIST_MASK_3) <= band_px) & (inside > 0)
    if not band.any():
        return 1.0
    found: tuple[list[Floats], list[Floats]] = [], []
    for tile in tiles(mask.shape, halo_px=GRAIN_REACH_PX):
        ask()
        here = band[tile.inner]
        if here.any():
            for picture, grain in zip(pictures, found, strict=True):
                grain.append(_grain(picture, here, tile))
    old, new = (float(np.median(np.concatenate(grain))) for grain in found)
    return (new + SMOOTH_GRAIN) / (old + SMOOTH_GRAIN)


def _around(mask: Mask, reach_px: int) -> tuple[slice, slice]:
    """The mask's bounds and ``reach_px`` around them; nothing where it is all 0."""
    x1, y1, x2, y2 = masks.bounds(mask) or (0, 0, 0, 0)
    return slice(max(0, y1 - reach_px), y2 + reach_px), slice(max(0, x1 - reach_px), x2 + reach_px)


def _grain(picture: Image, band: NDArray[np.bool_], tile: Tile) -> Floats:
    """What is finer than a few pixels, at the band's pixels in the tile."""
    pixels = picture[tile.outer].astype(np.float32)
    cv2.absdiff(pixels, cv2.GaussianBlur(pixels, (0, 0), GRAIN_SIGMA_PX), pixels)
    return np.asarray(pixels[tile.core][band].mean(axis=1), np.float32)


def _step(picture: Image, across: Floats, edge: NDArray[np.bool_], tile: Tile) -> float:
    """The change across the edge, weighted and summed over the edge's pixels in the tile."""
    smooth = cv2.GaussianBlur(picture[tile.outer].astype(np.float32), (0, 0), EDGE_SIGMA_PX)
    down, right = (change[edge] for change in _gradient(smooth, tile))
    return float(np.abs(down * across[0][:, None] + right * across[1][:, None]).sum(dtype=np.float64)) / 3


def _gradient(pixels: Floats, tile: Tile) -> tuple[Floats, Floats]:
    """Change per pixel downwards and to the right, in the tile without its surroundings."""
    down = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    right = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return down[tile.core], right[tile.core]
