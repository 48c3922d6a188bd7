from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import masks
from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections
from service.core.params import Policy, RepairParams
from service.repair.plan import MASK_CLASS, plan_from_mask, plan_repair, wanted_classes

ID = {name: i for i, name in enumerate(CLASS_NAMES)}


def found(*rows: tuple[str, float, tuple[float, float, float, float]]) -> Detections:
    return Detections.of([r[2] for r in rows], [r[1] for r in rows], [ID[r[0]] for r in rows])


def plan(detections: Detections, size_hw=(200, 200), native_px=64, **params):
    return plan_repair(detections, CLASS_NAMES, size_hw, RepairParams(**params), native_px)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {"malformed_hand", "malformed_limb"}),
        ({"policy": Policy.EVERY}, {"hand", "malformed_hand", "limb", "malformed_limb"}),
        ({"classes": ("hand",)}, {"malformed_hand"}),
        ({"classes": ("malformed_limb",)}, {"malformed_limb"}),
        ({"classes": ("hand",), "policy": Policy.EVERY}, {"hand", "malformed_hand"}),
        ({"classes": ("malformed_hand",), "policy": Policy.EVERY}, {"malformed_hand"}),
        ({"classes": ("horse",), "policy": Policy.EVERY}, {"horse"}),
        ({"classes": ("horse",)}, set()),
    ],
)
def test_which_classes_are_redrawn(params, expected):
    assert wanted_classes(CLASS_NAMES, RepairParams(**params)) == expected


def test_a_detector_that_knows_no_defects_has_every_class_redrawn_if_asked():
    assert wanted_classes(("face", "hand"), RepairParams(policy=Policy.EVERY)) == {"face", "hand"}
    assert wanted_classes(("face", "hand"), RepairParams()) == set()


def test_strongest_first_and_no_more_than_asked():
    seen = found(
        ("hand", 0.99, (0, 0, 20, 20)),
        ("malformed_hand", 0.5, (40, 0, 60, 20)),
        ("malformed_limb", 0.9, (80, 0, 90, 60)),
        ("person", 0.9, (0, 0, 200, 200)),
    )
    assert [r.class_name for r in plan(seen).regions] == ["malformed_limb", "malformed_hand"]
    assert [r.conf for r in plan(seen).regions] == pytest.approx([0.9, 0.5])
    assert [r.class_name for r in plan(seen, max_regions=1).regions] == ["malformed_limb"]
    every = plan(seen, policy=Policy.EVERY).regions
    assert [r.class_name for r in every] == ["malformed_limb", "malformed_hand", "hand"]


def test_one_part_found_twice_is_one_region():
    seen = found(
        ("malformed_hand", 0.6, (40, 40, 80, 80)),
        ("malformed_hand", 0.7, (44, 44, 84, 84)),
        ("hand", 0.9, (40, 40, 81, 81)),
    )
    (region,) = plan(seen, policy=Policy.EVERY).regions
    assert region.class_name == "malformed_hand"
    assert region.conf == pytest.approx(0.7)
    assert region.xyxy == (40, 40, 84, 84), "of several malformed boxes the loose one is taken"


def test_crossing_limbs_stay_apart():
    seen = found(("malformed_limb", 0.6, (40, 40, 60, 100)), ("malformed_limb", 0.7, (55, 40, 75, 100)))
    assert len(plan(seen).regions) == 2


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    box=st.tuples(*[st.floats(0, 1)] * 4),
    grow=st.floats(0, 1),
    feather_px=st.integers(0, 64),
    name=st.sampled_from(["malformed_hand", "malformed_limb"]),
)
def test_the_masks_of_any_box(size, box, grow, feather_px, name):
    height, width = size
    x1, x2 = sorted((box[0] * width, box[2] * width))
    y1, y2 = sorted((box[1] * height, box[3] * height))
    seen = found((name, 0.9, (x1, y1, x2, y2)))
    (region,) = plan(seen, size, grow=grow, feather_px=feather_px).regions
    left, top, right, bottom = region.xyxy
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert region.denoise_mask.shape == region.composite_mask.shape == size
    assert (region.composite_mask[top:bottom, left:right] == 1).all(), "the part itself is wholly replaced"
    assert (region.denoise_mask[region.composite_mask > 0] == 1).all()


def test_the_margin_is_a_share_of_the_diagonal_and_of_the_model_s_view():
    (wide,) = plan(found(("malformed_hand", 0.9, (80, 80, 110, 120))), grow=0.2).regions
    assert masks.bounds(wide.denoise_mask) == (70, 70, 120, 130)
    (least,) = plan(found(("malformed_hand", 0.9, (80, 80, 112, 112))), grow=0.0).regions
    assert masks.bounds(least.denoise_mask) == (75, 75, 117, 117)


def test_painted_areas_become_regions_that_keep_to_the_paint():
    mask = np.zeros((100, 100), np.float32)
    mask[10:30, 10:40], mask[60:65, 60:65], mask[80:90, 5:15] = 1, 0.7, 0.3
    regions = plan_from_mask(mask, RepairParams(), 64).regions
    assert [r.xyxy for r in regions] == [(10, 10, 40, 30), (60, 60, 65, 65)]
    assert {r.class_name for r in regions} == {MASK_CLASS}
    for region in regions:
        assert (mask[region.composite_mask > 0] >= 0.5).all()
        assert region.composite_mask.max() == 1
        assert region.denoise_mask.sum() > (region.composite_mask > 0).sum()
    assert len(plan_from_mask(mask, RepairParams(max_regions=1), 64).regions) == 2, (
        "what is painted is a wish"
    )
