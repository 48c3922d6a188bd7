"""What is redrawn and where: detections or a painted mask to regions with their two masks."""

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

# 32 px for a model of 512 px, 16 px for one of 256: two latent cells at least.
LEAST_MARGIN_SHARE = 1 / 16
Shape = Callable[[Box], Mask]
"""What of a box is to be redrawn: a mask of the image's size, above 0 somewhere in the box and 0 outside."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One part that was found."""

    box: Box
    class_name: str
    conf: float
    share: float
    """Of the picture's area."""


def plan_repair(
    found: Detections,
    class_names: Sequence[str],
    image_hw: tuple[int, int],
    params: RepairParams,
    native_px: int,
    shape: Shape | None = None,
) -> RepairPlan:
    """Plans from what a detector found.

    Args:
        found: detections that already reach their class's threshold.
        class_names: class name by ``class_id``.
        image_hw: the image's height and width.
        params: how to repair.
        native_px: side of the square at which the model redraws.
        shape: what of a box is redrawn; all of it if None.

    Returns:
        At most ``params.max_regions`` regions in the order of the choice; by score, the malformed ones
        are first. All other defects are counted in ``spared``.

    Raises:
        InvalidRequest: ``unknown_region``, if a region is named that there is not.
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
    """Plans from a painted mask: one region for each connected area, the largest first.

    Nothing outside the painted area is changed; the soft edge falls inside it. What is painted is a wish by
    itself: only ``MAX_REGIONS`` limits it, and ``spared`` tells where it does.

    Args:
        mask: float32 (H, W); painted from ``PAINTED`` on.
        params: how to repair; of the choices only ``only`` and ``skip`` matter here.
        native_px: side of the square at which the model redraws.

    Raises:
        InvalidRequest: ``unknown_region``, if a region is named that there is not.
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
    """The parameter that leaves this place alone for what it is; None if none does."""
    if place.conf > params.max_conf:
        return "max_conf"
    if place.share < params.min_area:
        return "min_area"
    return "max_area" if place.share > params.max_area else None


def _rank(order: Order) -> Callable[[_Place], tuple[float, ...]]:
    """The key by which places are sorted."""

    def key(place: _Place) -> tuple[float, ...]:
        by_score = (not is_malformed(place.class_name), -place.conf, *place.box)
        if order is Order.AREA:
            return (-place.share, *by_score)
        return (place.box[0], *by_score) if order is Order.LEFT_TO_RIGHT else by_score

    return key


def _check_numbers(count: int, params: RepairParams) -> None:
    """Refuses the number of a region beyond so many."""
    named = {*params.only, *params.skip, *(settings.region for settings in params.per_region)}
    unknown = sorted(number for number in named if number >= count)
    if unknown:
        raise InvalidRequest(
            f"no region {unknown[0]}: there are {count}", code="unknown_region", allowed=list(range(count))
        )


def _passed_over(number: int, params: RepairParams) -> str | None:
    """The parameter that leaves the region of this number alone; None if it is to be repaired."""
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
    """The places of these classes, part by part."""
    rows = found[[class_names[i] in wanted for i in found.class_id]].by_confidence()
    return [
        _Place(*place, share=float(boxes.area(place[0])[0]) / (image_hw[0] * image_hw[1]))
        for part in sorted({part_of(name) for name in wanted})
        for place in _places(
            rows[[part_of(class_names[i]) == part for i in rows.class_id]], class_names, params.merge_iou
        )
    ]


def _places(rows: Detections, class_names: Sequence[str], merge_iou: float) -> list[tuple[Box, str, float]]:
    """One place for boxes of one part that lie on each other, most confident first.

    A detector may name the same part well-formed and malformed; then it is malformed. Of several malformed
    boxes the enclosing one is taken: a doubled limb needs the loose box.
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
    # The soft edge takes only what was added: all of the box, or of what is hot in it, is replaced.
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
    """How far the denoise mask reaches beyond the box, in image pixels."""
    framing = FRAMINGS.get(part_of(class_name), FRAMING)
    side_px = window_around(box, box, image_hw, native_px, framing).side_px
    return int(np.ceil(max(params.grow * boxes.diagonal(box)[0], LEAST_MARGIN_SHARE * side_px)))
