"""Every verdict of the gate, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections
from detectors.fusion import Fusion, Weights
from service.core.params import Policy, RepairParams
from service.core.regions import Region
from service.core.report import Verdict
from service.repair.gate import Fit, Gate
from service.repair.plan import plan_repair
from service.repair.views import views_of
from tests.fakes import COLOURS, THRESHOLDS, ColourCritic, ColourDetector, picture

NEUTRAL = Fit()
BOX = (30, 30, 60, 60)
WHOLE = (0, 0, 96, 96)


def region_at(box=BOX, name: str = "malformed_hand") -> Region:
    seen = Detections.of([box], [0.9], [CLASS_NAMES.index(name)])
    params = RepairParams(policy=Policy.EVERY)
    return plan_repair(seen, CLASS_NAMES, (96, 96), params, 64).regions[0]


def verdict(before, after, region=None, *, fit=NEUTRAL, rivals=(), critic=None, detector=None) -> Verdict:
    gate = Gate(detector or ColourDetector(), critic, THRESHOLDS)
    region = region or region_at()
    old, new = gate.read([before, after], region, WHOLE, rivals)
    return gate.judge(region, old, new, fit, rivals).verdict


def faded(name: str, score: float, box=BOX, others=()):
    """A patch whose colour is so impure that the detector gives it this score."""
    image = picture(*others)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = np.array(COLOURS[name]) + np.array([0, 1, 0]) * int((1 - score) * 60)
    return image


BAD, GOOD = picture(("malformed_hand", BOX)), picture(("hand", BOX))


def test_a_good_hand_in_place_of_a_bad_one_is_accepted():
    assert verdict(BAD, GOOD) is Verdict.ACCEPTED


def test_the_defect_is_still_there():
    assert verdict(BAD, BAD) is Verdict.STILL_MALFORMED


def test_a_defect_just_under_the_threshold_is_not_gone():
    assert verdict(BAD, faded("malformed_hand", 0.35)) is Verdict.STILL_MALFORMED


def test_more_malformed_than_well_formed_is_not_gone_either():
    beside = ("hand", (36, 36, 40, 40))
    assert verdict(BAD, faded("malformed_hand", 0.25, others=[])) is Verdict.STILL_MALFORMED
    assert verdict(BAD, picture(("hand", BOX), beside)) is Verdict.ACCEPTED


def test_a_user_s_high_threshold_does_not_loosen_the_gate():
    gate = Gate(ColourDetector(), None, THRESHOLDS | {"malformed_hand": 0.95})
    assert gate.limit("malformed_hand") == pytest.approx(0.3)
    strict = Gate(ColourDetector(), None, THRESHOLDS | {"malformed_hand": 0.1})
    assert strict.limit("malformed_hand") == pytest.approx(0.075)


def test_a_defect_that_shows_only_after_jpeg_is_found():
    class OnlyInJpeg(ColourDetector):
        def _one(self, image, conf):
            found = super()._one(image, conf)
            clean = len(np.unique(image.reshape(-1, 3), axis=0)) < 4
            return found[found.class_id != 1] if clean else found

    image = faded("malformed_hand", 0.9)
    image[62:80, 30:60] = COLOURS["hand"]
    assert verdict(BAD, image, detector=OnlyInJpeg()) is Verdict.STILL_MALFORMED


def test_a_hand_that_is_gone_is_lost():
    assert verdict(BAD, picture()) is Verdict.PART_LOST


def test_a_new_defect_elsewhere_is_no_bargain():
    after = picture(("hand", BOX), ("malformed_limb", (5, 5, 20, 20)))
    assert verdict(BAD, after) is Verdict.NEW_DEFECT
    old = ("malformed_limb", (5, 5, 20, 20))
    assert verdict(picture(("malformed_hand", BOX), old), after) is Verdict.ACCEPTED


def test_a_defect_that_belongs_to_another_region_is_not_this_one_s():
    neighbour = (40, 30, 70, 60)
    detector = ColourDetector(fixed=Detections.of([neighbour], [0.9], [1]))
    assert verdict(BAD, GOOD, detector=detector) is Verdict.STILL_MALFORMED
    assert verdict(BAD, GOOD, detector=detector, rivals=[neighbour]) is Verdict.ACCEPTED


def test_the_critic_has_the_second_word_on_the_part_that_was_found():
    seen = []

    def judge(crop):
        seen.append(crop.shape[:2])
        return 0.7 if (crop[0, 0] == COLOURS["hand"]).all() else 0.1

    after = picture(("hand", (32, 31, 58, 60)))
    assert verdict(BAD, after, critic=ColourCritic(judge)) is Verdict.CRITIC_DISAGREES
    assert seen == [(30, 30), (29, 26)]
    assert verdict(BAD, GOOD, critic=ColourCritic(lambda crop: 0.4)) is Verdict.ACCEPTED


def test_a_visible_seam_and_another_colour_are_refused():
    assert verdict(BAD, GOOD, fit=Fit(seam=5.0)) is Verdict.VISIBLE_SEAM
    assert verdict(BAD, GOOD, fit=Fit(foreign_colour=0.5)) is Verdict.FOREIGN_COLOUR


def test_a_good_part_is_not_exchanged_for_a_worse_one():
    region = region_at(name="hand")
    assert verdict(GOOD, GOOD, region) is Verdict.ACCEPTED
    doubtful = picture(("hand", (30, 30, 60, 55)))
    doubtful[55:60, 30:60] = np.add(COLOURS["malformed_hand"], (0, 52, 0))
    assert verdict(GOOD, doubtful, region) is Verdict.NOT_BETTER
    critic = ColourCritic(lambda crop: 0.05 if crop.shape[0] == 30 else 0.45)
    assert verdict(GOOD, picture(("hand", (30, 30, 60, 55))), region, critic=critic) is Verdict.NOT_BETTER


# Limbs: one too many may go.

LEG = (60, 40, 66, 80)
LEGS = [("limb", (x, 40, x + 6, 80)) for x in (10, 22, 34, 46)]


def horse(legs: int, conf: float = 0.9) -> ColourDetector:
    return ColourDetector(fixed=Detections.of([[5, 10, 90, 85]], [conf], [CLASS_NAMES.index("horse")]))


@pytest.mark.parametrize(
    ("legs", "body", "expected"),
    [
        (4, 0.9, Verdict.ACCEPTED),
        (3, 0.9, Verdict.PART_LOST),
        (4, 0.1, Verdict.PART_LOST),
    ],
)
def test_a_fifth_leg_may_go_where_four_are_left_on_a_body(legs, body, expected):
    before = picture(*LEGS[:legs], ("malformed_limb", LEG))
    after = picture(*LEGS[:legs])
    detector = horse(legs, body)
    assert verdict(before, after, region_at(LEG, "malformed_limb"), detector=detector) is expected


@pytest.mark.parametrize(("legs", "expected"), [(3, Verdict.ACCEPTED), (2, Verdict.PART_LOST)])
def test_of_two_legs_in_one_place_one_may_go_only_where_four_are_left(legs, expected):
    beside = ("limb", (72, 40, 78, 80))
    before = picture(*LEGS[:legs], ("malformed_limb", (60, 40, 70, 80)), beside)
    after = picture(*LEGS[:legs], beside)
    region = region_at((60, 40, 78, 80), "malformed_limb")
    assert verdict(before, after, region, detector=horse(legs)) is expected
    both = picture(*LEGS[:legs], ("limb", LEG), beside)
    assert verdict(before, both, region, detector=horse(legs)) is Verdict.ACCEPTED


def test_a_leg_that_went_is_not_shown_to_the_critic():
    before, after = picture(*LEGS, ("malformed_limb", LEG)), picture(*LEGS)
    critic = ColourCritic(lambda crop: 0.9)
    region = region_at(LEG, "malformed_limb")
    assert verdict(before, after, region, detector=horse(4), critic=critic) is Verdict.ACCEPTED


def test_a_part_without_a_class_cannot_be_missed():
    names = ("malformed_hand",)
    detector = ColourDetector(class_names=names, default_conf={"malformed_hand": 0.4})
    gate = Gate(detector, None, detector.default_conf)
    region = region_at()
    old, new = gate.read([BAD, picture()], region, WHOLE)
    assert gate.judge(region, old, new, NEUTRAL).verdict is Verdict.ACCEPTED


# What the detector is shown.


def test_all_candidates_go_to_the_detector_in_one_call():
    detector = ColourDetector()
    Gate(detector, None, THRESHOLDS).read([BAD, GOOD, GOOD, BAD], region_at(), WHOLE)
    assert detector.calls == [12]


def test_a_small_picture_is_shown_whole_and_worn():
    views = views_of(BAD, (20, 20, 70, 70))
    assert [view.box for view in views] == [WHOLE] * 3
    assert [view.worn for view in views] == [False, True, True]
    assert views[0].image is BAD
    assert views[2].image.shape == (86, 86, 3)


def test_a_large_picture_is_shown_around_the_region_too():
    image = np.zeros((3000, 5000, 3), np.uint8)
    image[100:130, 4900:4930] = COLOURS["malformed_hand"]
    views = views_of(image, (4850, 50, 4980, 180))
    assert [view.image.shape[:2] for view in views] == [(3000, 5000), (320, 320), (320, 320), (288, 288)]
    for view in views[1:]:
        (found,) = ColourDetector().detect([view.image], 0.3)
        assert np.allclose(view.to_picture(found).xyxy[0], [4900, 100, 4930, 130], atol=3)
    wide = views_of(image, (0, 0, 5000, 3000))
    assert max(wide[1].image.shape) == 2048 or wide[1].worn


def test_a_gate_that_fuses_goes_by_both_looks_at_once():
    by = Weights(malformed=0.2, well_formed=-0.2, critic=1.0, bias=0.0)
    sure, unsure = (ColourCritic(lambda crop, says=says: says) for says in (0.05, 0.45))
    for critic, accepted in ((sure, True), (unsure, False)):
        gate = Gate(ColourDetector(), critic, THRESHOLDS, Fusion({"hand": by}))
        before, after = gate.read([BAD, faded("malformed_hand", 0.35)], region_at(), WHOLE)
        assert before.conf > after.conf != pytest.approx(0.35)
        verdict = gate.judge(region_at(), before, after, NEUTRAL).verdict
        assert (verdict is Verdict.ACCEPTED) == accepted


def test_no_high_threshold_loosens_a_gate_that_fuses():
    fusion = Fusion({"hand": Weights(0.2, -0.2, 1.0, 0.0)})
    high, higher = (
        Gate(ColourDetector(), None, THRESHOLDS | {"malformed_hand": t}, fusion) for t in (0.7, 0.95)
    )
    assert high.limit("malformed_hand") == higher.limit("malformed_hand")
