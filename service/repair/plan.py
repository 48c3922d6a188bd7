"""What is redrawn and where: detections or a painted mask to regions with their two masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors import boxes, masks
from detectors.detections import Box, Detections, Mask
from detectors.protocols import is_malformed, part_of
from service.repair.window import FRAMING, FRAMINGS, window_around
from service.report import Policy, Region, RepairParams, RepairPlan

MASK_CLASS = "mask"
"""Class name of a region that was painted and not found."""
SAME_PART_IOU = 0.5
# 32 px for a model of 512 px, 16 px for one of 256: two latent cells at least.
LEAST_MARGIN_SHARE = 1 / 16


def wanted_classes(class_names: Sequence[str], params: RepairParams) -> frozenset[str]:
    """The class names to look for under a policy.

    A part's name in ``params.classes`` stands for its malformed kind too. Context classes, which have no
    malformed kind (a person, a horse), are never redrawn unless they are named, or the detector knows no
    defects at all.
    """
    parts = {part_of(name) for name in class_names if is_malformed(name)} or set(class_names)
    named = set(params.classes)
    if params.policy is Policy.EVERY:
        allowed = {name for name in class_names if part_of(name) in parts or name in named}
    else:
        allowed = {name for name in class_names if is_malformed(name)}
    return frozenset(name for name in allowed if not named or name in named or part_of(name) in named)


def plan_repair(
    found: Detections,
    class_names: Sequence[str],
    image_hw: tuple[int, int],
    params: RepairParams,
    native_px: int,
) -> RepairPlan:
    """Plans from what a detector found.

    Args:
        found: detections that already reach their class's threshold.
        class_names: class name by ``class_id``.
        image_hw: the image's height and width.
        params: how to repair.
        native_px: side of the square at which the model redraws.

    Returns:
        At most ``params.max_regions`` regions, malformed ones first, then by confidence.
    """
    wanted = wanted_classes(class_names, params)
    names = [class_names[i] for i in found.class_id]
    rows = found[[name in wanted for name in names]].by_confidence()
    places = [
        place
        for part in sorted({part_of(name) for name in wanted})
        for place in _places(rows[[part_of(class_names[i]) == part for i in rows.class_id]], class_names)
    ]
    places.sort(key=lambda place: (not is_malformed(place[1]), -place[2], place[0]))
    regions = (_region_of_box(*place, image_hw, params, native_px) for place in places[: params.max_regions])
    return RepairPlan(tuple(regions), params)


def plan_from_mask(mask: Mask, params: RepairParams, native_px: int) -> RepairPlan:
    """Plans from a painted mask: one region for each connected area, the largest first.

    Nothing outside the painted area is changed; the soft edge falls inside it.

    Args:
        mask: float32 (H, W); painted from 0.5 on.
        params: how to repair; ``classes`` and ``policy`` do not matter here.
        native_px: side of the square at which the model redraws.
    """
    regions = []
    for painted in masks.components(mask, params.max_regions):
        box = masks.bounds(painted)
        if box is not None:
            margin = _margin_px(box, mask.shape, params, native_px, MASK_CLASS)
            regions.append(
                Region(
                    xyxy=box,
                    class_name=MASK_CLASS,
                    conf=1.0,
                    denoise_mask=masks.grow(painted, margin),
                    composite_mask=masks.feather(painted, params.feather_px),
                )
            )
    return RepairPlan(tuple(regions), params)


def _places(rows: Detections, class_names: Sequence[str]) -> list[tuple[Box, str, float]]:
    """One place for boxes of one part that lie on each other, most confident first.

    A detector may name the same part well-formed and malformed; then it is malformed. Of several malformed
    boxes the enclosing one is taken: a doubled limb needs the loose box.
    """
    places = []
    for group in boxes.groups(rows.xyxy, SAME_PART_IOU):
        here = rows[group]
        bad = [is_malformed(class_names[i]) for i in here.class_id]
        here = here[bad] if any(bad) else here
        x1, y1, x2, y2 = boxes.enclosing(here.xyxy)[0]
        box = (int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2)))
        places.append((box, class_names[here.class_id[0]], float(here.conf[0])))
    return places


def _region_of_box(
    box: Box,
    class_name: str,
    conf: float,
    image_hw: tuple[int, int],
    params: RepairParams,
    native_px: int,
) -> Region:
    box = masks.rounded_out(np.array(box), image_hw)
    margin = _margin_px(box, image_hw, params, native_px, class_name)
    loose = masks.rounded_out(boxes.grow(box, margin)[0], image_hw)
    denoise = masks.box_mask(loose, image_hw)
    # The soft edge takes only what was added: all of the box itself is replaced.
    return Region(box, class_name, conf, denoise, masks.feather(denoise, min(params.feather_px, margin)))


def _margin_px(
    box: Box, image_hw: tuple[int, int], params: RepairParams, native_px: int, class_name: str
) -> int:
    """How far the denoise mask reaches beyond the box, in image pixels."""
    framing = FRAMINGS.get(part_of(class_name), FRAMING)
    side_px = window_around(box, box, image_hw, native_px, framing).side_px
    return int(np.ceil(max(params.grow * boxes.diagonal(box)[0], LEAST_MARGIN_SHARE * side_px)))
