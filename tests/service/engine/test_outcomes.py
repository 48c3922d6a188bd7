"""Clean is said only of what was looked at, and every input without effect is told."""

from __future__ import annotations

import numpy as np
import pytest

from service.core.errors import InvalidRequest
from service.core.params import (
    MaskSource,
    Method,
    NudgeParams,
    NumberedRegionSettings,
    Policy,
    RegionSettings,
    RepairParams,
    WatchParams,
)
from service.core.regions import RepairPlan
from service.core.report import Outcome, RepairReport
from service.core.requests import GenerateRequest, RepairRequest
from service.engine.engine import DiffusionEngine
from service.engine.outcomes import unused_in_repair
from tests.fakes import ColourDetector, PaintInpainter, engine_of, paint_part, picture

BAD_HAND = picture(("malformed_hand", (30, 30, 60, 60)))
TWO_BAD = picture(("malformed_hand", (8, 8, 34, 34)), ("malformed_hand", (60, 60, 80, 80)))
QUICK = {"strengths": (0.5,), "seeds_per_attempt": 1}


@pytest.fixture
def painter() -> PaintInpainter:
    return PaintInpainter(lambda seed, strength: paint_part("hand"))


@pytest.fixture
def engine(tiny_model, painter: PaintInpainter) -> DiffusionEngine:
    return engine_of(tiny_model, ColourDetector(), inpainter=painter)


@pytest.fixture
def engine_without_defects(tiny_model, painter: PaintInpainter) -> DiffusionEngine:
    """One whose detector knows no malformed class."""
    detector = ColourDetector(class_names=("hand", "horse"), default_conf={"hand": 0.3, "horse": 0.3})
    return engine_of(tiny_model, detector, inpainter=painter)


def repaired(
    engine: DiffusionEngine, image: np.ndarray = BAD_HAND, dry_run: bool = False, **params
) -> RepairReport:
    return engine.repair(
        RepairRequest(image=image, seed=1, params=RepairParams(**QUICK | params), dry_run=dry_run)
    )


def redrawn(engine: DiffusionEngine, painted: np.ndarray, **params) -> RepairReport:
    return engine.repair(
        RepairRequest(image=BAD_HAND, seed=1, params=RepairParams(**QUICK | params), mask=painted)
    )


def spots(rows: int, columns: int) -> np.ndarray:
    """A mask with so many separate areas."""
    mask = np.zeros(BAD_HAND.shape[:2], np.float32)
    for y in range(0, rows * 8, 8):
        for x in range(0, columns * 8, 8):
            mask[y + 1 : y + 6, x + 1 : x + 6] = 1
    return mask


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("params", "by"),
    [
        ({"skip": (0,)}, "skip"),
        ({"max_conf": 0.3}, "max_conf"),
        ({"min_area": 0.9}, "min_area"),
        ({"max_area": 0.001}, "max_area"),
        ({"classes": ("malformed_limb",)}, "classes"),
        ({"in_order": (None,)}, "in_order"),
    ],
)
def test_a_defect_that_was_not_to_be_repaired_is_not_clean(engine, params, by, dry_run):
    report = repaired(engine, dry_run=dry_run, **params)
    assert (report.outcome, report.reason) == (Outcome.NOTHING_ASKED, f"left as they were: 1 by {by}")
    assert np.array_equal(report.image, BAD_HAND)


def test_clean_is_said_where_it_was_looked(engine):
    report = repaired(engine, picture(("hand", (30, 30, 60, 60))), min_area=0.9)
    assert (report.outcome, report.reason, report.unused) == (Outcome.CLEAN, "", ())


def test_what_a_limit_leaves_undone_is_only_partly_repaired(engine):
    report = repaired(engine, TWO_BAD, max_regions=1)
    assert report.regions[0].accepted
    assert (report.outcome, report.reason) == (Outcome.PARTLY, "left as they were: 1 by max_regions")
    chosen = repaired(engine, TWO_BAD, skip=(1,))
    assert (chosen.outcome, chosen.reason) == (Outcome.REPAIRED, "left as they were: 1 by skip")


def test_a_detector_that_knows_no_defects_calls_nothing_clean(engine_without_defects):
    report = repaired(engine_without_defects)
    assert report.outcome is Outcome.NOTHING_ASKED
    assert "knows no malformed class" in report.reason
    (made,) = engine_without_defects.generate(GenerateRequest(prompt="a hand", seed=1, width=64, height=64))
    assert made.outcome is Outcome.NOTHING_ASKED
    every = repaired(engine_without_defects, policy=Policy.EVERY)
    assert every.outcome is Outcome.CLEAN


@pytest.mark.parametrize("name", ["person", "horse"])
def test_a_class_that_is_never_repaired_is_refused(engine, name):
    with pytest.raises(InvalidRequest) as refused:
        repaired(engine, classes=(name,))
    assert refused.value.code == "unrepairable_class"
    assert refused.value.allowed == ["hand", "malformed_hand", "limb", "malformed_limb"]
    assert repaired(engine, classes=(name,), policy=Policy.EVERY).regions == ()
    assert repaired(engine, classes=("hand",)).outcome is Outcome.REPAIRED


def test_no_class_is_repaired_by_a_detector_that_knows_no_defects(engine_without_defects):
    with pytest.raises(InvalidRequest) as refused:
        repaired(engine_without_defects, classes=("hand",))
    assert (refused.value.code, refused.value.allowed) == ("unrepairable_class", [])


@pytest.mark.parametrize("value", [0.0, 1 / 255, 127 / 255])
def test_a_mask_without_paint_is_refused(engine, value):
    with pytest.raises(InvalidRequest, match=f"{round(value * 255)} of 255") as refused:
        redrawn(engine, np.full(BAD_HAND.shape[:2], value, np.float32))
    assert refused.value.code == "nothing_painted"


def test_all_painted_areas_are_redrawn(engine, painter):
    report = redrawn(engine, spots(2, 5))
    assert len(report.regions) == 10
    assert report.unused == ()
    assert len(painter.calls) == 10


def test_painted_areas_beyond_the_limit_are_told(engine, painter):
    painter.script = lambda seed, strength: (128, 128, 128)
    report = redrawn(engine, spots(11, 6))
    assert len(report.regions) == 64
    assert [(one.name, one.reason) for one in report.unused] == [
        ("mask", "2 of its painted areas, the smallest, are left as they are")
    ]
    assert report.outcome is not Outcome.REPAIRED


def test_what_says_nothing_beside_a_mask_is_told(engine):
    report = redrawn(
        engine,
        spots(1, 1),
        classes=("hand",),
        policy=Policy.EVERY,
        max_regions=3,
        merge_iou=0.4,
        max_conf=0.9,
        min_area=0.1,
        max_area=0.5,
        mask_threshold=0.3,
        nudge=NudgeParams(copies=2),
        per_class={"hand": RegionSettings(prompt="x"), "mask": RegionSettings(prompt="y")},
    )
    told = [(one.name, one.where) for one in report.unused]
    names = ["classes", "policy", "max_regions", "merge_iou", "max_conf", "min_area", "max_area"]
    expected = [(name, "") for name in [*names, "mask_threshold"]]
    assert told == [*expected, ("per_class", "hand"), ("nudge", "")]
    assert all(one.reason for one in report.unused)


def test_what_says_nothing_without_its_switch_is_told(engine):
    report = repaired(engine, mask_least_share=0.3, per_class={"mask": RegionSettings(prompt="y")})
    assert [(one.name, one.where) for one in report.unused] == [
        ("per_class", "mask"),
        ("mask_least_share", ""),
    ]
    watch = WatchParams(stop=False, max_restarts=1)
    (made,) = engine.generate(GenerateRequest(prompt="x", seed=1, width=64, height=64, watch=watch))
    assert [one.name for one in made.unused] == ["watch.max_restarts"]
    assert repaired(engine).unused == ()


@pytest.mark.parametrize("masked", [True, False])
def test_settings_for_a_region_that_is_not_there_are_refused(engine, masked):
    params = {"per_region": (NumberedRegionSettings(region=9, prompt="x"),)}
    with pytest.raises(InvalidRequest) as refused:
        redrawn(engine, spots(1, 1), **params) if masked else repaired(engine, **params)
    assert (refused.value.code, refused.value.allowed) == ("unknown_region", [0])


def test_settings_in_order_need_not_know_how_many_regions_there_are(engine, painter):
    ordered = (RegionSettings(prompt="first"), RegionSettings(prompt="others"))
    repaired(engine, TWO_BAD, in_order=ordered, per_class={"hand": RegionSettings(prompt="a class")})
    assert [prompt for _, _, prompt in painter.calls] == ["first", "others"]
    painter.calls.clear()
    report = repaired(engine, TWO_BAD, in_order=(None, RegionSettings(prompt="others")))
    assert [outcome.region.number for outcome in report.regions] == [1]
    assert [prompt for _, _, prompt in painter.calls] == ["others"]
    repaired(engine, in_order=ordered * 4, per_region=(NumberedRegionSettings(region=0, prompt="its own"),))
    assert painter.calls[-1][2] == "its own"
    assert RepairParams(in_order=(RegionSettings(methods=(Method.NUDGE,)),)).may_nudge


@pytest.mark.parametrize(
    ("seed", "options"),
    [(2**53 - 1, {"num_images": 2}), (2**53 - 2, {"num_images": 1, "best_of": 3})],
)
def test_no_seed_is_told_that_cannot_be_asked_for_again(engine, seed, options):
    with pytest.raises(InvalidRequest) as refused:
        engine.generate(GenerateRequest(prompt="x", seed=seed, **options))
    assert refused.value.code == "seed_out_of_range"
    count = options["num_images"] * options.get("best_of", 1)
    assert refused.value.allowed == [0, 2**53 - count]


def test_a_heat_map_that_is_used_is_not_told_as_unused():
    params = RepairParams(mask_source=MaskSource.HEATMAP, mask_threshold=0.3)
    assert unused_in_repair(RepairPlan(regions=(), params=params)) == ()
