"""Planning: regions and their two masks, from detections or from a painted mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from detectors import boxes, masks
from detectors.body_parts import is_malformed, part_of
from detectors.detections import Box, Detections, Mask
from service.core.class_names import wanted_classes as wanted_classes
from service.core.errors import InvalidRequest
from service.core.limits import MAX_REGIONS
from service.core.params import Order, RepairParams
from service.core.regions import MASK_CLASS, Region, RepairPlan
from service.repair.window import FRAMING, FRAMINGS, window_around

# 32 px for a model of 512 px, 16 px for one of 256 px: at least two latent cells.
LEAST_MARGIN_SHARE = 1 / 16
Shape = Callable[[Box], Mask]
"""Returns the redrawn area of a box: a mask of the image's size, 0 outside the box, not all 0 inside."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One part found by the detector."""

    box: Box
    class_name: str
    conf: float
    share: float
    """Area as a share of the picture, in [0, 1]."""


def plan_repair(
    found: Detections,
    class_names: Sequence[str],
    image_hw: tuple[int, int],
    params: RepairParams,
    native_px: int,
    shape: Shape | None = None,
) -> RepairPlan:
    """Plans a repair from detections.

    Args:
        found: detections that already reach the threshold of their class.
        class_names: class name by ``class_id``.
        image_hw: the image's height and width.
        params: repair parameters.
        native_px: side of the square at which the model redraws, in pixels.
        shape: selects the redrawn area of a box; the whole box if None.

    Returns:
        At most ``params.max_regions`` regions, ordered by ``params.order``; by score, malformed parts
        come first. All other defects are counted in ``spared``.

    Raises:
        InvalidRequest: ``unknown_region``, if a named region does not exist.
    """
    wanted = wanted_classes(class_names, params)
    unwanted = {name for name in class_names if is_malformed(name)} - wanted
    places = _places_of(wanted, found, class_names, image_hw, params)
    chosen = [place for place in places if _excluded_by(place, params) is None]
    chosen.sort(key=_rank(params.order))
    taken, beyond = chosen[: params.max_regions], chosen[params.max_regions :]
    _check_numbers(len(taken), params)
    spared = [
        *[(place, "classes") for place in _places_of(unwanted, found, class_names, image_hw, params)],
        *[(place, _excluded_by(place, params)) for place in places],
        *[(place, "max_regions") for place in beyond],
        *[(place, _passed_over(number, params)) for number, place in enumerate(taken)],
    ]
    regions = [
        _region_of_box(place, number, image_hw, params, native_px, shape)
        for number, place in enumerate(taken)
        if _passed_over(number, params) is None
    ]
    counts = Counter(by for place, by in spared if by is not None and is_malformed(place.class_name))
    return RepairPlan(regions=tuple(regions), params=params, spared=counts)


def plan_from_mask(mask: Mask, params: RepairParams, native_px: int) -> RepairPlan:
    """Plans a repair from a painted mask: one region for each connected area, the largest first.

    Nothing outside the painted area changes; the soft edge falls inside it. Only ``MAX_REGIONS`` limits the
    number of areas; those left out are counted in ``spared``.

    Args:
        mask: float32 (H, W); a pixel is painted at ``PAINTED`` or more.
        params: repair parameters; of those that select regions, only ``only`` and ``skip`` apply.
        native_px: side of the square at which the model redraws, in pixels.

    Raises:
        InvalidRequest: ``unknown_region``, if a named region does not exist.
    """
    areas, regions = masks.components(mask, MAX_REGIONS), []
    _check_numbers(len(areas), params)
    spared = Counter({"mask": masks.count_components(mask) - len(areas)})
    for number, painted in enumerate(areas):
        box = masks.bounds(painted)
        by = _passed_over(number, params)
        if by is not None:
            spared[by] += 1
        elif box is not None:
            margin = _margin_px(box, mask.shape, params, native_px, MASK_CLASS)
            regions.append(
                Region(
                    xyxy=box,
                    class_name=MASK_CLASS,
                    conf=1.0,
                    denoise_mask=masks.grow(painted, margin),
                    composite_mask=masks.feather(painted, params.feather_px),
                    number=number,
                )
            )
    return RepairPlan(regions=tuple(regions), params=params, spared=+spared, is_painted=True)


def _excluded_by(place: _Place, params: RepairParams) -> str | None:
    """Returns the parameter whose limits exclude this place; None if none does."""
    if place.conf > params.max_conf:
        return "max_conf"
    if place.share < params.min_area:
        return "min_area"
    return "max_area" if place.share > params.max_area else None


def _rank(order: Order) -> Callable[[_Place], tuple[float, ...]]:
    """Returns the sort key of places."""

    def key(place: _Place) -> tuple[float, ...]:
        by_score = (not is_malformed(place.class_name), -place.conf, *place.box)
        if order is Order.AREA:
            return (-place.share, *by_score)
        return (place.box[0], *by_score) if order is Order.LEFT_TO_RIGHT else by_score

    return key


def _check_numbers(count: int, params: RepairParams) -> None:
    """Refuses region numbers that do not exist."""
    named = {*params.only, *params.skip, *(settings.region for settings in params.per_region)}
    unknown = sorted(number for number in named if number >= count)
    if unknown:
        raise InvalidRequest(
            f"no region {unknown[0]}: there are {count}", code="unknown_region", allowed=list(range(count))
        )


def _passed_over(number: int, params: RepairParams) -> str | None:
    """Returns the parameter that excludes the region with this number; None if it is to be repaired."""
    if number in params.skip:
        return "skip"
    if params.only and number not in params.only:
        return "only"
    return "in_order" if params.at_place(number) is None else None


def _places_of(
    wanted: Collection[str],
    found: Detections,
    class_names: Sequence[str],
    image_hw: tuple[int, int],
    params: RepairParams,
) -> list[_Place]:
    """Returns the places of these classes, part by part."""
    rows = found[[class_names[i] in wanted for i in found.class_id]].by_confidence()
    return [
        _Place(*place, share=float(boxes.area(place[0])[0]) / (image_hw[0] * image_hw[1]))
        for part in sorted({part_of(name) for name in wanted})
        for place in _places(
            rows[[part_of(class_names[i]) == part for i in rows.class_id]], class_names, params.merge_iou
        )
    ]


def _places(rows: Detections, class_names: Sequence[str], merge_iou: float) -> list[tuple[Box, str, float]]:
    """Merges overlapping boxes of one part into places, the highest score first.

    A part that is detected both as well-formed and as malformed counts as malformed. Several malformed boxes
    are replaced by the enclosing one: a doubled limb needs the loose box.
    """
    places = []
    for group in boxes.groups(rows.xyxy, merge_iou):
        here = rows[group]
        bad = [is_malformed(class_names[i]) for i in here.class_id]
        here = here[bad] if any(bad) else here
        x1, y1, x2, y2 = boxes.enclosing(here.xyxy)[0]
        box = (int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2)))
        places.append((box, class_names[here.class_id[0]], float(here.conf[0])))
    return places


def _region_of_box(
    place: _Place,
    number: int,
    image_hw: tuple[int, int],
    params: RepairParams,
    native_px: int,
    shape: Shape | None,
) -> Region:
    box = masks.rounded_out(np.array(place.box), image_hw)
    margin = _margin_px(box, image_hw, params, native_px, place.class_name)
    if shape is None:
        denoise = masks.box_mask(masks.rounded_out(boxes.grow(box, margin)[0], image_hw), image_hw)
    else:
        denoise = masks.grow(shape(box), margin)
    # The soft edge lies in the margin only: the whole box, or its whole hot part, is replaced.
    composite = masks.feather(denoise, min(params.feather_px, margin))
    return Region(
        xyxy=box,
        class_name=place.class_name,
        conf=place.conf,
        denoise_mask=denoise,
        composite_mask=composite,
        number=number,
    )


def _margin_px(
    box: Box, image_hw: tuple[int, int], params: RepairParams, native_px: int, class_name: str
) -> int:
    """Returns the margin of the denoise mask around the box, in image pixels."""
    framing = FRAMINGS.get(part_of(class_name), FRAMING)
    side_px = window_around(box, box, image_hw, native_px, framing).side_px
    return int(np.ceil(max(params.grow * boxes.diagonal(box)[0], LEAST_MARGIN_SHARE * side_px)))
