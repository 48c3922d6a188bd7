"""Which regions are repaired, and how each of them is."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import masks
from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections
from service.core.errors import InvalidRequest
from service.core.params import (
    SEEDS_PER_ATTEMPT,
    STRENGTHS,
    MaskSource,
    Method,
    NumberedRegionSettings,
    Order,
    RegionSettings,
    RepairParams,
)
from service.repair.heatmaps import hot_places
from service.repair.plan import plan_from_mask, plan_repair
from service.repair.prompts import Prompts
from service.repair.rungs import region_prompts, rungs_of
from tests.fakes import ColourDetector, PaintInpainter, ladder_of, paint_part, picture

HAND, LIMB = CLASS_NAMES.index("malformed_hand"), CLASS_NAMES.index("malformed_limb")
# Right and small, left and large, in the middle and tiny.
BOXES = [[160, 10, 180, 30], [10, 10, 60, 90], [100, 100, 104, 104]]
SEEN = Detections.of(BOXES, [0.9, 0.6, 0.75], [HAND, LIMB, HAND])


def plan(seen=SEEN, size_hw=(200, 200), shape=None, **params):
    return plan_repair(seen, CLASS_NAMES, size_hw, RepairParams(**params), 64, shape)


def lefts(planned):
    return [region.xyxy[0] for region in planned.regions]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [160, 100, 10]),
        ({"order": Order.AREA}, [10, 160, 100]),
        ({"order": Order.LEFT_TO_RIGHT}, [10, 100, 160]),
        ({"max_conf": 0.8}, [100, 10]),
        ({"min_area": 0.001}, [160, 10]),
        ({"max_area": 0.01}, [160, 100]),
        ({"min_area": 0.001, "max_area": 0.05}, [160]),
        ({"only": (2,)}, [10]),
        ({"only": (0, 2)}, [160, 10]),
        ({"skip": (0,)}, [100, 10]),
        ({"only": (0, 1), "skip": (1,)}, [160]),
        ({"order": Order.LEFT_TO_RIGHT, "only": (0,)}, [10]),
    ],
)
def test_a_choice(choice, expected):
    assert lefts(plan(**choice)) == expected


def test_the_first_in_order_are_kept():
    assert lefts(plan(order=Order.AREA, max_regions=1)) == [10]
    assert lefts(plan(order=Order.LEFT_TO_RIGHT, max_regions=2)) == [10, 100]


def test_a_region_keeps_its_number():
    assert [region.number for region in plan(skip=(0,)).regions] == [1, 2]


@pytest.mark.parametrize("choice", [{"only": (3,)}, {"skip": (0, 9)}])
def test_a_region_that_there_is_not_is_named(choice):
    with pytest.raises(InvalidRequest) as refusal:
        plan(**choice)
    assert refusal.value.code == "unknown_region"
    assert refusal.value.allowed == [0, 1, 2]


def test_painted_regions_can_be_chosen_too():
    mask = np.zeros((100, 100), np.float32)
    mask[10:30, 10:40], mask[60:65, 60:65] = 1, 1
    (region,) = plan_from_mask(mask, RepairParams(skip=(0,)), 64).regions
    assert (region.xyxy, region.number) == ((60, 60, 65, 65), 1)


@pytest.mark.parametrize(("merge_iou", "regions"), [(0.5, 1), (0.7, 2)])
def test_how_much_boxes_must_overlap_to_be_one_region(merge_iou, regions):
    seen = Detections.of([[40, 40, 80, 80], [50, 40, 90, 80]], [0.6, 0.7], [HAND, HAND])
    assert len(plan(seen, merge_iou=merge_iou).regions) == regions


@pytest.mark.parametrize(
    "box", [(0, 0, 12, 12), (190, 0, 200, 200), (100, 100, 101, 101), (0, 0, 200, 200), (-5, 195, 30, 220)]
)
def test_regions_at_the_border_tiny_and_huge_are_repaired(box):
    image = np.full((200, 200, 3), 128, np.uint8)
    seen = Detections.of([np.clip(box, 0, 200)], [0.9], [HAND])
    params = RepairParams(seeds_per_attempt=1, strengths=(0.5,))
    planned = plan_repair(seen, CLASS_NAMES, (200, 200), params, 64)
    ladder = ladder_of(PaintInpainter(lambda *_: paint_part("hand")), ColourDetector())
    repaired = ladder.repair(image, planned, 0)
    (outcome,) = repaired.outcomes
    assert len(outcome.attempts) == 1
    outside = outcome.region.composite_mask == 0
    assert np.array_equal(repaired.image[outside], image[outside])


PARAMS = RepairParams(
    strengths=(0.4, 0.8),
    methods=(Method.REDRAW, Method.NUDGE),
    per_class={
        "hand": RegionSettings(guidance_scale=3.0, seeds_per_attempt=2, prompt="any hand"),
        "malformed_hand": RegionSettings(seeds_per_attempt=5),
        "limb": RegionSettings(strengths=(1.0,), num_inference_steps=12),
    },
    per_region=(
        NumberedRegionSettings(region=1, methods=(Method.REDRAW,), prompt="a fist", negative_prompt="rings"),
    ),
)


OWN = {"limb": RegionSettings(strengths=(1.0, 1.0), seeds_per_attempt=2, num_inference_steps=5, fill=False)}


def test_what_a_request_leaves_open_is_the_model_s_own_for_the_part_and_else_the_usual():
    hand, _, limb = plan().regions
    own = [(r.strength, r.seeds) for r in rungs_of(limb, RepairParams(), OWN)]
    usual = [(r.strength, r.seeds) for r in rungs_of(hand, RepairParams(), OWN)]
    assert own == [(1.0, 2), (1.0, 2)]
    rungs = rungs_of(limb, RepairParams(), OWN)
    assert [(r.num_inference_steps, r.fill) for r in rungs] == [(5, False)] * 2
    assert usual == [(strength, SEEDS_PER_ATTEMPT) for strength in STRENGTHS]


@pytest.mark.parametrize(
    "wish",
    [RepairParams(strengths=(0.3,)), RepairParams(per_class={"limb": RegionSettings(strengths=(0.3,))})],
)
def test_a_wish_goes_before_the_model_s_own(wish: RepairParams):
    limb = plan().regions[2]
    (rung,) = rungs_of(limb, wish, OWN)
    assert (rung.strength, rung.seeds) == (0.3, 2)
    assert (rung.num_inference_steps, rung.fill) == (None, None), "those are for the model's own strengths"


def test_other_steps_leave_the_model_s_own_ladder_as_it_is():
    limb = plan().regions[2]
    rungs = rungs_of(limb, RepairParams(num_inference_steps=9), OWN)
    assert [(r.strength, r.num_inference_steps, r.fill) for r in rungs] == [(1.0, 9, False)] * 2


def test_a_region_s_settings_go_before_its_class_s_and_those_before_its_part_s():
    first, second, limb = plan().regions
    rungs = rungs_of(first, PARAMS)
    assert [(r.method, r.strength) for r in rungs] == [
        (Method.REDRAW, 0.4),
        (Method.REDRAW, 0.8),
        (Method.NUDGE, 0.4),
        (Method.NUDGE, 0.8),
    ]
    assert {(r.seeds, r.guidance_scale, r.num_inference_steps) for r in rungs} == {(5, 3.0, None)}
    assert [r.method for r in rungs_of(second, PARAMS)] == [Method.REDRAW] * 2
    assert [(r.strength, r.seeds, r.num_inference_steps) for r in rungs_of(limb, PARAMS)] == [
        (1.0, 4, 12),
        (1.0, 4, 12),
    ]
    said = Prompts("a picture", "blue")
    assert region_prompts(first, PARAMS, said) == Prompts("any hand", "blue")
    assert region_prompts(second, PARAMS, said) == Prompts("a fist", "rings")
    assert region_prompts(limb, PARAMS, said) == said


def test_the_inpainter_is_told_what_holds_for_each_region():
    image = picture(("malformed_hand", (5, 5, 25, 25)), ("malformed_limb", (60, 50, 75, 90)))
    params = RepairParams(
        strengths=(0.4,),
        num_inference_steps=9,
        per_class={
            "limb": RegionSettings(guidance_scale=0.0, seeds_per_attempt=1, negative_prompt="six legs"),
            "hand": RegionSettings(strengths=(0.6, 0.7), prompt="a fist"),
        },
    )
    detector, inpainter = ColourDetector(), PaintInpainter(lambda *_: (128, 128, 128))
    planned = plan_repair(detector.detect([image], 0.3)[0], CLASS_NAMES, (96, 96), params, 64)
    told = []
    ladder = ladder_of(inpainter, detector, prompt="a person")
    ladder.repair(image, planned, 0, _Progress(told))
    calls = {
        (strength, len(seeds), prompt, *settings)
        for (strength, seeds, prompt), settings in zip(inpainter.calls, inpainter.settings, strict=True)
    }
    assert calls == {
        (0.6, 4, "a fist", 9, None, "", 0),
        (0.7, 4, "a fist", 9, None, "", 0),
        (0.4, 1, "a person", 9, 0.0, "six legs", 0),
    }
    assert told == sorted(told)
    assert told[-1] == (3, 3), "regions have ladders of different lengths"


class _Progress:
    def __init__(self, told):
        self.told = told

    def progress(self, phase, done, total):
        self.told.append((done, total))

    def tried(self, *_):
        pass


def test_only_one_region_gets_the_seeds_that_it_has_among_all():
    image = picture(("malformed_hand", (5, 5, 25, 25)), ("malformed_hand", (60, 60, 85, 85)))
    attempts = []
    for choice in ({"order": Order.AREA}, {"order": Order.AREA, "only": (1,)}):
        detector = ColourDetector()
        params = RepairParams(**choice, strengths=(0.5,))
        planned = plan_repair(detector.detect([image], 0.3)[0], CLASS_NAMES, (96, 96), params, 64)
        inpainter = PaintInpainter(lambda *_: paint_part("malformed_hand"))
        repaired = ladder_of(inpainter, detector).repair(image, planned, 3)
        attempts.append(repaired.outcomes[-1].attempts)
    assert attempts[0] == attempts[1]


class RedIsBad:
    """Takes redness for the defect."""

    def defect_energy(self, image, xyxy):
        return (image[:, 0] ** 2).sum((1, 2))


def test_a_mask_can_follow_what_is_hot():
    image = np.full((200, 200, 3), 40, np.uint8)
    image[50:60, 50:60] = (250, 40, 40)
    box = (40, 40, 120, 120)
    seen = Detections.of([box], [0.9], [HAND])

    def shape(found):
        return hot_places(RedIsBad(), image, found, RepairParams(mask_source=MaskSource.HEATMAP))

    hot = shape(box)
    assert hot[55, 55] == 1
    assert hot[100, 100] == 0
    (loose,) = plan(seen).regions
    (region,) = plan(seen, shape=shape).regions
    assert region.xyxy == loose.xyxy, "the gate looks at the whole part"
    assert 0 < region.denoise_mask.sum() < loose.denoise_mask.sum() / 2
    assert (region.composite_mask[region.denoise_mask == 0] == 0).all()


def test_where_nothing_is_hot_the_box_is_redrawn():
    class Blind:
        def defect_energy(self, image, xyxy):
            return image.sum((1, 2, 3)) * 0.0

    image = np.full((100, 100, 3), 40, np.uint8)
    mask = hot_places(Blind(), image, (10, 20, 30, 40), RepairParams(mask_source=MaskSource.HEATMAP))
    assert masks.bounds(mask) == (10, 20, 30, 40)
    assert mask.sum() == 400
