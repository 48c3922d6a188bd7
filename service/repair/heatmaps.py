"""Heat maps of a detector's score for "malformed" in a picture, and masks made from them."""

from __future__ import annotations

import numpy as np

from detectors import heatmap, masks
from detectors.body_parts import is_malformed
from detectors.detections import Box, Detections, Image, Mask
from detectors.protocols import DifferentiableDetector
from service.core.params import RepairParams
from service.repair.window import window_around

MOST_PLACES = 8
VIEW_PX = 512
"""Size in which a place's surroundings are examined: larger than most detectors' input."""


def heat_of_place(guide: DifferentiableDetector, image: Image, box: Box) -> Mask:
    """Returns the heat map of the score for "malformed" in a box; 0 outside the box's near surroundings.

    The surroundings are cut out first, so that a large picture costs no more than a small one.

    Args:
        guide: gives the gradient.
        image: uint8 RGB (H, W, 3).
        box: box of a malformed part, in pixels.

    Returns:
        float32 (H, W) in [0, 1].
    """
    window = window_around(box, box, image.shape[:2], VIEW_PX)
    seen = heatmap.heatmap(guide, window.cut(image), window.on_canvas(box))
    heat = np.zeros(image.shape[:2], np.float32)
    x1, y1, x2, y2 = window.box
    heat[y1:y2, x1:x2] = window.uncut_mask(seen)
    return heat


def hot_places(guide: DifferentiableDetector, image: Image, box: Box, params: RepairParams) -> Mask:
    """Returns the hot part of a malformed part's box as a mask; the whole box if nothing in it is hot.

    Returns:
        float32 (H, W), 0 or 1, 0 outside the box.
    """
    inside = masks.box_mask(box, image.shape[:2])
    hot = heatmap.mask_of(
        heat_of_place(guide, image, box) * inside, params.mask_threshold, params.mask_least_share
    )
    return hot if hot.any() else inside


def heat_of_picture(
    guide: DifferentiableDetector, image: Image, seen: Detections, class_names: tuple[str, ...]
) -> Mask:
    """Returns the heat map of all malformed parts, each scaled by its score.

    Only the ``MOST_PLACES`` highest scores are included. Without malformed parts the map is all 0.

    Returns:
        float32 (H, W) in [0, 1].
    """
    heat = np.zeros(image.shape[:2], np.float32)
    bad = seen[[is_malformed(class_names[i]) for i in seen.class_id]].by_confidence()
    for xyxy, conf in list(zip(bad.xyxy, bad.conf, strict=True))[:MOST_PLACES]:
        box = masks.rounded_out(xyxy, image.shape[:2])
        heat = np.maximum(heat, heat_of_place(guide, image, box) * np.float32(conf))
    return heat
