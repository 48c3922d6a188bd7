from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.body_parts import CLASS_NAMES
from service.core.errors import Cancelled
from service.core.listener import SILENT
from service.core.params import RegionSettings, RepairParams
from service.core.report import Verdict
from service.repair.gate import Gate
from service.repair.gate_params import GateParams
from service.repair.ladder import attempt_seeds
from service.repair.plan import plan_repair
from tests.fakes import (
    ANY_COLOUR,
    ColourCritic,
    ColourDetector,
    PaintInpainter,
    Told,
    ladder_of,
    paint_part,
    picture,
)

BAD = ("malformed_hand", (30, 30, 60, 60))


def climb(image, script, *, seed=0, critic=None, listener=SILENT, params=None, gate_params=ANY_COLOUR):
    detector, inpainter = ColourDetector(), PaintInpainter(script)
    params = params or RepairParams(seeds_per_attempt=3)
    found = detector.detect([image], 0.3)[0]
    plan = plan_repair(found, CLASS_NAMES, image.shape[:2], params, inpainter.native_px)
    ladder = ladder_of(inpainter, detector, critic, "a hand", gate_params)
    return ladder.repair(image, plan, seed, listener), inpainter


def test_it_stops_at_the_first_rung_with_one_that_passes():
    def script(seed, strength):
        return paint_part("hand" if strength > 0.5 else "malformed_hand")

    result, inpainter = climb(picture(BAD), script)
    assert [strength for strength, _, _ in inpainter.calls] == [0.4, 0.55]
    (outcome,) = result.outcomes
    assert outcome.accepted
    assert "0.55" in outcome.reason


def test_the_best_of_those_that_pass_is_taken():
    seeds = attempt_seeds(0, 0, 0, 3)
    shares = dict(zip(seeds, (0.5, 0.8, 0.65), strict=True))

    def least_malformed_is_largest(crop):
        return 0.4 - crop.shape[0] / 200

    result, _ = climb(
        picture(BAD),
        lambda seed, strength: paint_part("hand", shares[seed]),
        critic=ColourCritic(least_malformed_is_largest),
    )
    (outcome,) = result.outcomes
    assert [a.verdict for a in outcome.attempts] == [Verdict.ACCEPTED] * 3
    found = ColourDetector().detect([result.image], 0.3)[0]
    best = min(outcome.attempts, key=lambda a: a.critic)
    assert best.seed == seeds[1]
    assert found.xyxy[0][3] - found.xyxy[0][1] >= 30


def test_the_original_stays_if_nothing_passes():
    image = picture(BAD)
    result, inpainter = climb(image, lambda *_: paint_part("malformed_hand"))
    assert result.image is image
    assert len(inpainter.calls) == 4
    assert result.outcomes[0].reason == "original kept: no attempt passed (12 still_malformed)"


def test_one_repair_does_not_undo_another():
    image = picture(BAD, ("malformed_hand", (66, 66, 90, 90)))
    result, _ = climb(image, lambda *_: paint_part("hand"))
    assert [o.accepted for o in result.outcomes] == [True, True]
    found = ColourDetector().detect([result.image], 0.3)[0]
    assert [CLASS_NAMES[i] for i in found.class_id] == ["hand", "hand"]
    assert all(o.conf_after < 0.1 for o in result.outcomes)


def test_what_another_repair_mended_is_left_alone():
    """The first region's mask reaches over the second defect, and the redraw takes it away."""
    # The mask's edge cuts through the second part, so that its seam shows; here that is not the question.
    image = picture(("malformed_hand", (30, 30, 60, 60)), ("malformed_hand", (61, 40, 66, 50)))
    result, _ = climb(
        image,
        lambda *_: paint_part("hand"),
        params=RepairParams(grow=0.3),
        gate_params=replace(ANY_COLOUR, max_seam=2.0),
    )
    assert [o.accepted for o in result.outcomes] == [True, False]
    assert result.outcomes[1].attempts == ()
    assert "another region" in result.outcomes[1].reason
    assert result.outcomes[1].conf_after < 0.3


def test_seeds_are_their_own_and_repeat():
    seeds = attempt_seeds(5, 0, 0, 16)
    assert seeds == attempt_seeds(5, 0, 0, 16)
    assert attempt_seeds(5, 0, 0, 4) == seeds[:4]
    others = [attempt_seeds(*key, 16) for key in [(6, 0, 0), (5, 1, 0), (5, 0, 1)]]
    assert len({*seeds, *(s for other in others for s in other)}) == 64
    assert 5 not in seeds


def test_progress_never_goes_back_and_ends_at_the_end():
    told = []
    image = picture(BAD, ("malformed_hand", (66, 66, 90, 90)))
    climb(image, lambda *_: paint_part("hand"), listener=Told(told))
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert told[-1] == ("repair", 8, 8)


def test_the_given_picture_is_never_written_to():
    image = picture(BAD)
    before = image.copy()
    image.flags.writeable = False
    result, _ = climb(image, lambda *_: paint_part("hand"))
    assert result.outcomes[0].accepted
    assert np.array_equal(image, before)


def test_what_is_drawn_in_a_colour_of_its_own_is_refused():
    result, _ = climb(picture(BAD), lambda seed, strength: paint_part("hand"), gate_params=GateParams())
    verdicts = {attempt.verdict for attempt in result.outcomes[0].attempts}
    assert verdicts == {Verdict.FOREIGN_COLOUR} and not result.outcomes[0].accepted


def test_unless_other_words_were_asked_for_there():
    params = RepairParams(per_class={"malformed_hand": RegionSettings(prompt="a green glove")})
    result, _ = climb(
        picture(BAD), lambda seed, strength: paint_part("hand"), params=params, gate_params=GateParams()
    )
    assert result.outcomes[0].accepted


@pytest.mark.parametrize(
    ("wish", "method"), [(None, "redraw"), (True, "redraw_from_fill"), (False, "redraw")]
)
def test_an_attempt_tells_whether_the_part_was_painted_over_first(wish: bool | None, method: str):
    params = RepairParams(strengths=(0.9,), per_class={"hand": RegionSettings(fill=wish)})
    result, _ = climb(picture(BAD), lambda seed, strength: paint_part("hand"), params=params)
    assert {attempt.method for attempt in result.outcomes[0].attempts} == {method}


def test_where_nobody_says_a_malformed_limb_is_painted_over_from_three_quarters_on():
    image = picture(("malformed_limb", (30, 30, 60, 60)))
    params = RepairParams(strengths=(0.55, 0.75))
    result, _ = climb(image, lambda seed, strength: paint_part("malformed_limb"), params=params)
    methods = {attempt.strength: attempt.method for attempt in result.outcomes[0].attempts}
    assert methods == {0.55: "redraw", 0.75: "redraw_from_fill"}


def test_whole_pictures_are_shown_few_at_a_time_where_they_are_large(monkeypatch: pytest.MonkeyPatch):
    image = picture(BAD)
    together, _ = climb(image, lambda *_: paint_part("hand"))
    seen = list[int]()
    read = Gate.read

    def counted(gate, images, *rest):
        seen.append(len(images))
        return read(gate, images, *rest)

    monkeypatch.setattr(Gate, "read", counted)
    monkeypatch.setattr("service.repair.ladder.MOST_AT_ONCE_PX", 2 * 96 * 96)
    few, _ = climb(image, lambda *_: paint_part("hand"))
    assert seen == [1, 2, 1]  # as it was, then three candidates
    assert few.outcomes[0].attempts == together.outcomes[0].attempts
    assert np.array_equal(few.image, together.image)


def test_a_rung_can_be_given_up_before_what_was_drawn_is_looked_at():
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))

    class Impatient(Told):
        def progress(self, phase: str, done: int, total: int) -> None:
            if inpainter.calls:
                raise Cancelled("enough")

    image, detector = picture(BAD), ColourDetector()
    found = detector.detect([image], 0.3)[0]
    plan = plan_repair(found, CLASS_NAMES, image.shape[:2], RepairParams(), inpainter.native_px)
    looks = len(detector.calls)
    with pytest.raises(Cancelled):
        ladder_of(inpainter, detector).repair(image, plan, 0, Impatient([]))
    assert len(detector.calls) == looks + 1  # the look before the first rung
