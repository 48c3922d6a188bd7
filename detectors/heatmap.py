"""Heat maps: the pixels that a detector's score for "malformed" comes from."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from detectors import masks
from detectors.detections import Image, Mask
from detectors.protocols import DifferentiableDetector

BoxF = tuple[float, float, float, float]
BLUR_SHARE = 0.12
SMOOTH_SHARE = 0.04
FULL_QUANTILE = 0.995


def attribution(
    detector: DifferentiableDetector, image: Image, xyxy: BoxF | None = None, samples: int = 8
) -> np.ndarray:
    """Returns each pixel's contribution to the defect energy, compared with a blurred picture.

    Integrated gradients (Sundararajan, Taly and Yan, 2017), from a blurred copy of the picture to the
    picture. The sum over all pixels is the difference of the two energies, up to the error of summing
    over ``samples`` points of the way.

    Args:
        detector: anything with ``defect_energy``.
        image: uint8 RGB (H, W, 3).
        xyxy: the region, in pixels; the whole picture if None.
        samples: points on the way from the blurred picture.

    Returns:
        float32 (H, W), of either sign.
    """
    height, width = image.shape[:2]
    region = (0.0, 0.0, float(width), float(height)) if xyxy is None else xyxy
    sigma = max(1.0, BLUR_SHARE * float(np.hypot(region[2] - region[0], region[3] - region[1])))
    sharp, blurred = (_to_tensor(picture) for picture in (image, cv2.GaussianBlur(image, (0, 0), sigma)))
    slope = torch.zeros_like(sharp)
    for i in range(samples):
        at = blurred + (sharp - blurred) * ((i + 0.5) / samples)
        with torch.enable_grad():
            at.requires_grad_()
            energy = detector.defect_energy(at, region).sum()
            slope += torch.autograd.grad(energy, at)[0].to(slope.device) / samples
    return np.asarray(((sharp - blurred) * slope).sum(1)[0].numpy(), np.float32)


def heatmap(
    detector: DifferentiableDetector, image: Image, xyxy: BoxF | None = None, samples: int = 8
) -> Mask:
    """Returns a smooth map of the evidence for "malformed".

    Args:
        detector: anything with ``defect_energy``.
        image: uint8 RGB (H, W, 3).
        xyxy: the region, in pixels; the whole picture if None.
        samples: see ``attribution``.

    Returns:
        float32 (H, W) in [0, 1]; all 0 if there is none.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (0, 0, width, height) if xyxy is None else xyxy
    speaks = np.maximum(attribution(detector, image, xyxy, samples), 0.0)
    smooth = cv2.GaussianBlur(speaks, (0, 0), max(1.0, SMOOTH_SHARE * float(np.hypot(x2 - x1, y2 - y1))))
    full = float(np.quantile(smooth, FULL_QUANTILE)) or float(smooth.max())
    if full <= 0.0:
        return np.zeros((height, width), np.float32)
    return np.asarray(np.clip(smooth / full, 0.0, 1.0), np.float32)


def overlay(image: Image, heat: Mask, opacity: float = 0.6) -> Image:
    """Returns the picture with the heat in colour over it, for people; it is unchanged where the heat is 0.

    Args:
        image: uint8 RGB (H, W, 3).
        heat: float32 (H, W) in [0, 1].
        opacity: of the colour where the heat is 1, in [0, 1].

    Returns:
        uint8 RGB (H, W, 3).
    """
    levels = np.rint(np.clip(heat, 0.0, 1.0) * 255).astype(np.uint8)
    colour = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    share = (np.clip(heat, 0.0, 1.0) * opacity)[..., None]
    return np.asarray(np.rint(image * (1.0 - share) + colour * share), np.uint8)


def mask_of(heat: Mask, threshold: float = 0.4, least_share: float = 0.1, most: int = 4) -> Mask:
    """Returns the hot places as a mask for repair.

    Args:
        heat: float32 (H, W) in [0, 1].
        threshold: least heat that counts.
        least_share: a place smaller than this share of the largest one is dropped.
        most: largest number of places.

    Returns:
        float32 (H, W), 0 or 1; all 0 if nothing is hot.
    """
    found = masks.components(heat, most, threshold)
    mask = np.zeros(heat.shape, np.float32)
    for place in found:
        if place.sum() >= least_share * found[0].sum():
            mask = np.maximum(mask, place)
    return mask


def _to_tensor(image: Image) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous()
