"""What is where: which detections speak of a region, and whether its part is still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from detectors.detections import Box, Detections
from detectors.protocols import MALFORMED_PREFIX, is_malformed, part_of
from service.core.regions import Region
from service.repair.plan import MASK_CLASS

NEAR_IOU, NEAR_CONTAINMENT = 0.3, 0.6
PRESENCE_SHARE = 0.5
"""A part counts as still there from this share of its threshold on: it was found there before."""
BODIES, LIMB, FULL_LIMBS = ("person", "horse"), "limb", 4
BODY_CONTAINMENT = 0.5


def covers(found: Detections, region: Region) -> NDArray[np.bool_]:
    """Which boxes lie on the region: they overlap it well, or one lies in the other."""
    overlap = boxes.iou(found.xyxy, region.xyxy)[:, 0]
    inside = boxes.containment(found.xyxy, region.xyxy)[:, 0]
    around = boxes.containment(region.xyxy, found.xyxy)[0]
    return np.asarray((overlap >= NEAR_IOU) | (inside >= NEAR_CONTAINMENT) | (around >= NEAR_CONTAINMENT))


def malformed_here(
    found: Detections, region: Region, class_names: Sequence[str], rivals: Sequence[Box]
) -> NDArray[np.bool_]:
    """Which detections are this region's defect.

    Legs and clasped hands overlap: a box that lies closer to another planned region is that one's.
    In a painted region every kind of defect counts.
    """
    part, painted = part_of(region.class_name), region.class_name == MASK_CLASS
    names = [class_names[i] for i in found.class_id]
    kind = [is_malformed(name) and (painted or part_of(name) == part) for name in names]
    closeness = boxes.iou(found.xyxy, region.xyxy)[:, 0]
    to_rivals = boxes.iou(found.xyxy, boxes.as_boxes(rivals)).max(axis=1, initial=0.0)
    return np.asarray(np.array(kind, bool) & covers(found, region) & (closeness >= to_rivals))


def best_part(
    found: Detections, region: Region, class_names: Sequence[str], thresholds: Mapping[str, float]
) -> tuple[Box | None, float]:
    """The region's part, well-formed or not.

    Returns:
        The most confident box (None if the part is not there), and the best well-formed score.
    """
    rows = _part_rows(found, parts_of(region, class_names), class_names, thresholds) & covers(found, region)
    here = found[rows].by_confidence()
    if not len(here):
        return None, 0.0
    sound = here[[not is_malformed(class_names[i]) for i in here.class_id]]
    return boxes.whole(here.xyxy[0]), float(sound.conf.max(initial=0.0))


def parts_of(region: Region, class_names: Sequence[str]) -> list[str]:
    """The parts that a region may hold: its own, or any in a painted one."""
    if region.class_name != MASK_CLASS:
        return [part_of(region.class_name)]
    return [name for name in class_names if f"{MALFORMED_PREFIX}{name}" in class_names]


def part_lost(
    before: Detections,
    after: Detections,
    region: Region,
    class_names: Sequence[str],
    thresholds: Mapping[str, float],
) -> bool:
    """Whether there are fewer parts in the region than there were.

    A hand must stay. A limb may go where there was one too many: its body must still be there, with a full
    set of limbs. A part that the detector has no class for cannot be missed.
    """
    for part in parts_of(region, class_names):
        if part not in class_names:
            continue

        def count(found: Detections, share: float, part: str = part) -> int:
            rows = _part_rows(found, [part], class_names, thresholds, share) & covers(found, region)
            return len(_distinct(found[rows]))

        expected = min(count(before, PRESENCE_SHARE), 1)
        if part == LIMB:
            expected = max(expected, count(before, 1.0))
        if count(after, PRESENCE_SHARE) < expected and not (
            part == LIMB and _body_is_whole(after, region, class_names, thresholds)
        ):
            return True
    return False


def _body_is_whole(
    found: Detections, region: Region, class_names: Sequence[str], thresholds: Mapping[str, float]
) -> bool:
    bodies = found[[class_names[i] in BODIES and c >= thresholds[class_names[i]] for i, c in _rows(found)]]
    holding = bodies[boxes.containment(region.xyxy, bodies.xyxy)[0] >= BODY_CONTAINMENT]
    limbs = found[_part_rows(found, [LIMB], class_names, thresholds)]
    return bool((boxes.contains_centre(holding.xyxy, _distinct(limbs)).sum(axis=1) >= FULL_LIMBS).any())


def _distinct(found: Detections) -> NDArray[np.float64]:
    """Boxes (N, 4) of what was found, each thing once."""
    return boxes.merge(found.xyxy, least_iou=0.5)


def _part_rows(
    found: Detections,
    parts: Sequence[str],
    class_names: Sequence[str],
    thresholds: Mapping[str, float],
    share: float = PRESENCE_SHARE,
) -> NDArray[np.bool_]:
    """Rows of these parts, well-formed or malformed, with at least this share of their thresholds."""
    return np.array(
        [
            part_of(class_names[i]) in parts and conf >= share * thresholds[class_names[i]]
            for i, conf in _rows(found)
        ],
        bool,
    )


def _rows(found: Detections) -> list[tuple[int, float]]:
    return [(int(i), float(conf)) for i, conf in zip(found.class_id, found.conf, strict=True)]
