"""Blending of a redrawn patch into the picture: matched in tone, with a soft edge; nothing else changes.

Work on single pixels goes tile by tile: a patch may be as large as the picture, and then needs only the
memory of one tile. The results equal those of one pass over the whole (the tests compare).
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
"""Largest shift of a channel, of 255. A larger difference is not the model's tone but another content."""
RING_SHARE = 1 / 32
SMOOTH_STEP = 2.0
"""An invisible colour step per pixel, of 255; it keeps the ratio stable on flat ground."""
SMOOTH_GRAIN = 1.0
"""Invisible grain, of 255."""
BAND_SHARE = 1 / 16
EDGE_SIGMA_PX, GRAIN_SIGMA_PX = 1.5, 2.5
EDGE_REACH_PX, GRAIN_REACH_PX = 7, 10
"""Reach of the filters for a seam: four sigmas, and one pixel for a gradient."""
AROUND_PX = 20
"""Width of the surroundings examined for a seam; more than the filters need."""

__all__ = ["MOST_GROUND_SHIFT", "MOST_SHIFT", "composite", "laid_over", "match_ground", "match_tone", "seam"]

Floats = NDArray[np.float32]


def match_tone(patch: Image, original: Image, repainted: Mask) -> Image:
    """Removes the autoencoder's tint from a patch.

    The ring just outside the repainted area shows the same content in both pictures; the mean difference
    there is the tint.

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
    """Composites a patch into a copy of the image. Where the mask is 0, no bit changes.

    Args:
        image: uint8 RGB (H, W, 3).
        patch: uint8 RGB, covers ``box``.
        box: box of the patch in the image; the mask is 0 outside it.
        mask: float32 (H, W), the composite mask.
    """
    x1, y1, x2, y2 = box
    result = image.copy()
    _lay(patch, result[y1:y2, x1:x2], mask[y1:y2, x1:x2])
    return result


def laid_over(under: Image, patch: Image, mask: Mask) -> Image:
    """Composites a patch over the part of a picture that it covers; all three have one size."""
    result = under.copy()
    _lay(patch, result, mask)
    return result


def _lay(patch: Image, under: Image, mask: Mask) -> None:
    """Composites in place. A weight of 0 keeps the pixel, since x + 0 · (y - x) is exactly x."""
    for tile in tiles(mask.shape):
        weight = mask[tile.inner][..., None]
        if weight.any():
            here = under[tile.inner]
            here[...] = np.rint(here + weight * (patch[tile.inner].astype(np.float32) - here))


def seam(before: Image, after: Image, patch: Image, mask: Mask, ask: Ask = go_on) -> float:
    """Scores the visibility of the mask's edge; about 1 is invisible.

    The score is the larger of two ratios: that of the colour step across the edge, and the square root of
    that of the grain just inside it. The second one catches a patch of the right tone that is mottled where
    the picture is smooth. The root is taken because a new limb brings grain too.

    Args:
        before: uint8 RGB (H, W, 3).
        after: the same part after compositing.
        patch: the same part as redrawn, before compositing.
        mask: float32 (H, W), the composite mask.
        ask: called between two tiles; an exception from it ends the work.
    """
    band_px = max(3, round(max(mask.shape) * BAND_SHARE))
    near = _around(mask, AROUND_PX)
    before, after, patch, mask = before[near], after[near], patch[near], mask[near]
    step = _step_ratio((before, after, patch), mask, ask)
    return max(step, math.sqrt(_grain_ratio((before, after), mask, band_px, ask)))


def _step_ratio(pictures: Sequence[Image], mask: Mask, ask: Ask) -> float:
    """Returns the ratio of the colour steps across the edge, after and before.

    A step that either picture has there by itself is not a seam, such as an arm across the edge. The
    pictures (before, after, drawn) are smoothed, because a step spread over a soft edge is still a step.
    Only the change perpendicular to the edge counts, weighted by the steepness of the mask.
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
    """Returns the ratio of the median grain inside the edge; the median ignores a finger in the band."""
    inside = (mask > 0.5).astype(np.uint8)
    # Outside the picture counts as inside: a mask cut off by the frame has no visible edge there.
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
    """Returns slices of the mask's bounds, extended by ``reach_px``; near the origin if it is all 0."""
    x1, y1, x2, y2 = masks.bounds(mask) or (0, 0, 0, 0)
    return slice(max(0, y1 - reach_px), y2 + reach_px), slice(max(0, x1 - reach_px), x2 + reach_px)


def _grain(picture: Image, band: NDArray[np.bool_], tile: Tile) -> Floats:
    """Returns the detail finer than a few pixels, at the band's pixels in the tile."""
    pixels = picture[tile.outer].astype(np.float32)
    cv2.absdiff(pixels, cv2.GaussianBlur(pixels, (0, 0), GRAIN_SIGMA_PX), pixels)
    return np.asarray(pixels[tile.core][band].mean(axis=1), np.float32)


def _step(picture: Image, across: Floats, edge: NDArray[np.bool_], tile: Tile) -> float:
    """Returns the change across the edge, weighted and summed over the edge's pixels in the tile."""
    smooth = cv2.GaussianBlur(picture[tile.outer].astype(np.float32), (0, 0), EDGE_SIGMA_PX)
    down, right = (change[edge] for change in _gradient(smooth, tile))
    return float(np.abs(down * across[0][:, None] + right * across[1][:, None]).sum(dtype=np.float64)) / 3


def _gradient(pixels: Floats, tile: Tile) -> tuple[Floats, Floats]:
    """Returns the change per pixel downwards and to the right, in the tile without its surroundings."""
    down = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    right = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return down[tile.core], right[tile.core]
