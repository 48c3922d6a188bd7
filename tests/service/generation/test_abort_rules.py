from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.errors import ModelUnavailable
from service.core.params import WATCH_FRACTIONS
from service.generation.abort_rules import (
    Limit,
    Look,
    PreviewDefect,
    PreviewThresholds,
    Rule,
    checkpoints,
    decide,
    one_place,
)
from training.abort_rules import WatchedRun, fit_thresholds, stopped_share

HERE, THERE = (10.0, 10.0, 50.0, 50.0), (200.0, 200.0, 240.0, 240.0)
NAMES = ("malformed_hand", "malformed_limb")
LIMITS = PreviewThresholds(limits={f: dict.fromkeys(NAMES, Limit(0.5, 0.9)) for f in WATCH_FRACTIONS})
CONF = st.floats(0, 1, width=32)


def look(fraction, *seen):
    defects = tuple(PreviewDefect(class_name=name, conf=conf, xyxy=box) for conf, name, box in seen)
    return Look(index=round(fraction * 20) - 1, fraction=fraction, defects=defects)


def hand(conf, box=HERE):
    return conf, "malformed_hand", box


defect = st.tuples(CONF, st.sampled_from((*NAMES, "malformed_ear")), st.sampled_from((HERE, THERE)))
looks = st.tuples(*(st.lists(defect, max_size=3) for _ in WATCH_FRACTIONS)).map(
    lambda all_seen: [look(f, *seen) for f, seen in zip(WATCH_FRACTIONS, all_seen, strict=True)]
)
runs = st.lists(
    st.builds(lambda seen, bad: WatchedRun(tuple(seen), bad), looks, st.booleans()), min_size=1, max_size=30
)


def test_one_hit_is_not_enough_two_running_are_and_one_far_over_is():
    assert decide([], LIMITS) is None
    assert decide([look(0.3, hand(0.6))], LIMITS) is None
    reason = decide([look(0.3, hand(0.6)), look(0.5, hand(0.7))], LIMITS)
    assert reason is not None
    assert (reason.rule, reason.index, reason.fraction) == (Rule.TWICE, 9, 0.5)
    assert str(reason) == "0.70 malformed_hand expected at step 10, seen_twice"
    far = decide([look(0.3, hand(0.95))], LIMITS)
    assert far is not None
    assert far.rule is Rule.FAR_OVER


def test_doubts_about_several_parts_add_up():
    two = look(0.3, hand(0.3), hand(0.3, THERE))
    assert decide([look(0.3, hand(0.3)), look(0.5, hand(0.3))], LIMITS) is None
    reason = decide([two, look(0.5, hand(0.35), hand(0.3, THERE))], LIMITS)
    assert reason is not None
    assert (reason.rule, reason.defect.conf, reason.expected) == (Rule.TWICE, 0.35, pytest.approx(0.65))
    assert decide([look(0.3, *[hand(0.46)] * 2)], LIMITS).rule is Rule.FAR_OVER


def test_agreement_means_running_and_the_same_class():
    assert decide([look(0.3, hand(0.6)), look(0.5), look(0.7, hand(0.6))], LIMITS) is None
    limb = (0.6, "malformed_limb", HERE)
    assert decide([look(0.3, limb), look(0.5, hand(0.6))], LIMITS) is None


@given(looks)
def test_what_is_below_its_limits_stops_nothing(seen):
    strict = PreviewThresholds(limits={f: dict.fromkeys(NAMES, Limit(3.1, 3.2)) for f in WATCH_FRACTIONS})
    assert decide(seen, strict) is None
    assert decide(seen, PreviewThresholds(limits={})) is None


@given(looks, st.integers(1, 3))
def test_a_decision_can_be_explained_by_what_was_seen(seen, count):
    reason = decide(seen[:count], LIMITS)
    if reason is None:
        return
    assert reason.defect in seen[count - 1].defects
    name = reason.defect.class_name
    assert reason.expected == seen[count - 1].expected(name) >= reason.limit.hit
    assert reason.defect.conf == max(s.conf for s in seen[count - 1].defects if s.class_name == name)
    if reason.rule is Rule.TWICE:
        assert seen[count - 2].expected(name) >= 0.5


@given(looks, st.integers(0, 2), CONF)
def test_a_surer_detector_never_changes_a_stop_into_a_go(seen, which, more):
    surer = [
        Look(
            index=one.index,
            fraction=one.fraction,
            defects=tuple(
                PreviewDefect(class_name=s.class_name, conf=max(s.conf, more), xyxy=s.xyxy)
                for s in one.defects
            ),
        )
        if i == which
        else one
        for i, one in enumerate(seen)
    ]
    if decide(seen, LIMITS) is not None:
        assert decide(surer, LIMITS) is not None


@given(st.integers(1, 200), st.lists(st.floats(0.05, 0.95), min_size=1, max_size=5))
def test_looks_come_before_the_end_and_near_their_fraction(total, fractions):
    found = checkpoints(total, fractions)
    assert found
    assert all(0 <= index < max(1, total - 1) for index in found)
    assert set(found.values()) <= set(fractions)
    if total >= 10:
        assert all(
            min(abs((index + 1) / total - f) for f in fractions) <= 0.5 / total + 0.05 for index in found
        )


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (1, {0: 0.7}),
        (2, {0: 0.5}),
        (3, {0: 0.3, 1: 0.7}),
        (4, {0: 0.3, 1: 0.5, 2: 0.7}),
        (20, {5: 0.3, 9: 0.5, 13: 0.7}),
    ],
)
def test_short_runs_get_fewer_looks(total, expected):
    assert checkpoints(total) == expected


@settings(max_examples=15)
@given(runs, st.sampled_from((0.0, 0.05, 0.3)))
def test_fitted_thresholds_keep_their_promise_on_what_they_saw(seen, most):
    good = [run for run in seen if not run.malformed]
    if not good:
        with pytest.raises(ValueError, match="ended well"):
            fit_thresholds(seen)
        return
    assert stopped_share(good, fit_thresholds(seen, most)) <= most


def test_fitted_thresholds_tell_bad_runs_from_good_ones():
    def run(i, bad):
        shift = 0.45 if bad else 0.0
        return WatchedRun(tuple(look(f, hand(0.3 + shift + 0.01 * (i % 20))) for f in WATCH_FRACTIONS), bad)

    seen = [run(i, bad) for i in range(100) for bad in (False, True)]
    thresholds = fit_thresholds(seen, 0.05, "detector@1", "own")
    good, bad = ([run for run in seen if run.malformed is ended] for ended in (False, True))
    assert stopped_share(good, thresholds) <= 0.05
    assert stopped_share(bad, thresholds) == 1.0
    assert stopped_share([], thresholds) == 0.0
    assert (thresholds.detector, thresholds.preview) == ("detector@1", "own")


def test_they_are_stored_and_read_again(tmp_path):
    path = tmp_path / "previews.json"
    LIMITS.save(path)
    assert PreviewThresholds.load(path) == LIMITS
    path.write_text('{"limits": {"0.3": {"malformed_hand": {"hit": 0.9, "far": 0.1}}}}')
    with pytest.raises(ModelUnavailable, match=r"previews\.json"):
        PreviewThresholds.load(path)
    with pytest.raises(ModelUnavailable, match=r"nothing\.json"):
        PreviewThresholds.load(tmp_path / "nothing.json")


def test_the_nearest_fraction_is_taken_and_unknown_classes_never_count():
    thresholds = PreviewThresholds(
        limits={0.3: {"malformed_hand": Limit(0.1, 0.2)}, 0.7: {"malformed_hand": Limit(0.3, 0.4)}}
    )
    assert thresholds.limit(0.1, "malformed_hand") == Limit(0.1, 0.2)
    assert thresholds.limit(0.8, "malformed_hand") == Limit(0.3, 0.4)
    assert thresholds.limit(0.3, "malformed_limb") is None


def test_guesses_are_stricter_early():
    guessed = PreviewThresholds.guessed({"malformed_hand": 0.4, "hand": 0.3})
    early, late = (guessed.limit(f, "malformed_hand") for f in (0.3, 0.7))
    assert early.hit > late.hit > 0.4
    assert guessed.limit(0.3, "hand") is None


def test_one_small_place_alone_is_worth_a_repair_in_flight():
    def found(one, side=256):
        return one_place(one, (side, side), dict.fromkeys(NAMES, 0.4))

    alone = look(0.5, hand(0.7), hand(0.3), hand(0.2, THERE))
    reason = found(alone)
    assert reason is not None
    assert (reason.rule, reason.defect.conf) == (Rule.ONE_PLACE, 0.7)
    assert found(look(0.5)) is None
    assert found(look(0.5, hand(0.5))) is None, "not sure enough in a preview"
    assert found(look(0.3, hand(0.6))) is None, "so early it must be surer"
    assert found(look(0.5, hand(0.7), hand(0.3, THERE))) is None, "elsewhere is something too"
    assert found(alone, side=70) is None, "a large part of the picture"
