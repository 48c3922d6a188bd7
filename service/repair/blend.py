"""Puts a redrawn patch into the picture: matched in tone, soft at the edge, and nothing else changed."""

from __future__ import annotations

import math

import cv2
import numpy as np

from detectors import masks
from detectors.detections import Box, Image, Mask

MOST_SHIFT = 8.0
"""Most that one channel is shifted, of 255. More is not the model's tone but another picture."""
RING_SHARE = 1 / 32
SMOOTH_STEP = 2.0
"""A colour step per pixel, of 255, that nobody sees; keeps the ratio calm on flat ground."""
SMOOTH_GRAIN = 1.0
"""Grain, of 255, that nobody sees."""
BAND_SHARE = 1 / 16
SAME, OTHER = 10.0, 30.0
"""Up to such a difference, of 255, a pixel shows what it showed before; from such a one something else."""
MOST_GROUND_SHIFT = 20.0
GROUND_SIGMA_SHARE, LEAST_KNOWN = 0.08, 0.05
"""How far a tint is carried, as a share of the patch, and how much of the same must be near for all of it."""
SAME_SIGMA_PX = 1.5


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
    ring = (masks.grow(repainted, width) > 0) & (repainted <= 0)
    if not ring.any():
        return patch
    difference = original[ring].mean(axis=0, dtype=np.float64) - patch[ring].mean(axis=0, dtype=np.float64)
    shift = np.clip(difference, -MOST_SHIFT, MOST_SHIFT).astype(np.float32)
    return np.asarray(np.rint(np.clip(patch + shift, 0.0, 255.0)), np.uint8)


def match_ground(patch: Image, original: Image) -> Image:
    """Shifts a patch, place by place, to the tone of what it shows just as the original did.

    A model redraws the ground around a limb too, in a tone of its own or a little mottled, and it is seen
    as a box. Where both show the same their difference is that tint; it is carried over to where they
    do not (normalized convolution, Knutsson and Westin 1993).

    Args:
        patch: uint8 RGB (H, W, 3), redrawn.
        original: the same part of the picture before.

    Returns:
        The patch, shifted by at most ``MOST_GROUND_SHIFT`` anywhere.
    """
    difference = original.astype(np.float32) - patch
    far = cv2.GaussianBlur(np.abs(difference).max(axis=2), (0, 0), SAME_SIGMA_PX)
    same = np.clip((OTHER - far) / (OTHER - SAME), 0.0, 1.0)
    sigma = max(patch.shape[:2]) * GROUND_SIGMA_SHARE
    carried = cv2.GaussianBlur(difference * same[..., None], (0, 0), sigma)
    known = cv2.GaussianBlur(same, (0, 0), sigma)[..., None]
    shift = np.clip(carried / (known + LEAST_KNOWN), -MOST_GROUND_SHIFT, MOST_GROUND_SHIFT)
    return np.asarray(np.rint(np.clip(patch + shift, 0.0, 255.0)), np.uint8)


def composite(image: Image, patch: Image, box: Box, mask: Mask) -> Image:
    """A copy of the image with the patch under the mask. Where the mask is 0 nothing changes by a bit.

    Args:
        image: uint8 RGB (H, W, 3).
        patch: uint8 RGB, covers ``box``.
        box: where the patch lies; all of the mask above 0 lies in it.
        mask: float32 (H, W), the composite mask.
    """
    x1, y1, x2, y2 = box
    weight = mask[y1:y2, x1:x2, None]
    under = image[y1:y2, x1:x2]
    mixed = np.rint(under + weight * (patch.astype(np.float32) - under)).astype(np.uint8)
    result = image.copy()
    result[y1:y2, x1:x2] = np.where(weight > 0, mixed, under)
    return result


def seam(before: Image, after: Image, patch: Image, mask: Mask) -> float:
    """How much more the mask's edge can be seen than is in the nature of the thing; about 1 is not at all.

    The larger of two ratios: that of the colour step across the edge, and the root of that of the grain just
    inside it. Without the second, a patch of the right tone whose ground is mottled where the picture is
    smooth would have a clean seam; the root, because a limb that was not there before brings grain too.

    Args:
        before: uint8 RGB (H, W, 3).
        after: the same part after compositing.
        patch: the same part as it was redrawn, all of it.
        mask: float32 (H, W), the composite mask.
    """
    return max(_step_ratio(before, after, patch, mask), math.sqrt(_grain_ratio(before, after, mask)))


def _step_ratio(before: Image, after: Image, patch: Image, mask: Mask) -> float:
    """A step that either picture has there by itself is no seam: an arm that reaches across the edge.

    The pictures are smoothed, because a step spread over a soft edge is still a step; then only the change
    straight across the edge counts, weighted by how steep the mask is.
    """
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)
    across_y, across_x = _gradient(soft)
    steepness = np.hypot(across_y, across_x)
    if steepness.max() < 1e-6:
        return 1.0
    towards = np.stack([across_y, across_x]) / np.maximum(steepness, 1e-6)
    old, new, drawn = (_step(picture, towards, steepness) for picture in (before, after, patch))
    return float((new + SMOOTH_STEP) / (max(old, drawn) + SMOOTH_STEP))


def _grain_ratio(before: Image, after: Image, mask: Mask) -> float:
    """Grain in a band inside the edge. The median, so that a finger reaching into the band does not count."""
    inside = (mask > 0.5).astype(np.uint8)
    width = max(3, round(max(mask.shape) * BAND_SHARE))
    # Beyond the picture is inside: where a mask is cut off by the frame there is no edge to be seen.
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    core = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    band = (inside > 0) & (core == 0)
    if not band.any():
        return 1.0
    grain = [float(np.median(_high_pass(picture)[band])) for picture in (before, after)]
    return (grain[1] + SMOOTH_GRAIN) / (grain[0] + SMOOTH_GRAIN)


def _high_pass(picture: Image) -> np.ndarray:
    pixels = picture.astype(np.float32)
    return np.asarray(np.abs(pixels - cv2.GaussianBlur(pixels, (0, 0), 2.5)).mean(axis=2), np.float32)


def _step(picture: Image, towards: np.ndarray, weight: np.ndarray) -> float:
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5)
    along_y, along_x = _gradient(smooth)
    across = np.abs(along_y * towards[0][..., None] + along_x * towards[1][..., None]).mean(axis=2)
    return float((across * weight).sum() / weight.sum())


def _gradient(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change per pixel downwards and to the right."""
    down = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    right = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return down, right
