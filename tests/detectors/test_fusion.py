"""The detector's scores and the critic's word made one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections
from detectors.fusion import LEAST_SCORE, Fusion, Weights, places
from tests.fakes import ColourCritic

HAND, BAD_HAND, LIMB, BAD_LIMB, PERSON, _ = range(len(CLASS_NAMES))
EVEN = Weights(malformed=0.5, well_formed=-0.5, critic=1.0, bias=0.0)
FUSION = Fusion({"limb": EVEN})
IMAGE = np.zeros((96, 96, 3), np.uint8)
HERE, THERE = [10, 10, 30, 50], [60, 10, 80, 50]
scores = st.floats(0, 1)


def reconsidered(found: Detections, critic: float) -> Detections:
    return FUSION.reconsidered(IMAGE, found, CLASS_NAMES, ColourCritic(lambda crop: critic))


def malformed(found: Detections, name: int = BAD_LIMB) -> list[float]:
    return [round(float(score), 3) for score in found.conf[found.class_id == name]]


@given(scores, scores, scores)
def test_a_score_is_a_probability_that_rises_with_each_doubt(bad: float, good: float, critic: float):
    score = FUSION.score("limb", bad, good, critic)
    assert 0 < score < 1
    assert FUSION.score("limb", min(bad + 0.1, 1), good, critic) >= score
    assert FUSION.score("limb", bad, min(good + 0.1, 1), critic) <= score
    assert FUSION.score("limb", bad, good, min(critic + 0.1, 1)) >= score


def test_even_odds_are_a_half():
    assert FUSION.score("limb", 0.3, 0.3, 0.5) == pytest.approx(0.5)


def test_nothing_at_all_says_no_more_than_the_least_score():
    assert FUSION.score("limb", 0.0, 0.5, 0.5) == FUSION.score("limb", LEAST_SCORE, 0.5, 0.5)


def test_without_weights_or_without_a_critic_the_detector_s_score_stays():
    assert FUSION.score("hand", 0.7, 0.1, 0.1) == 0.7
    assert FUSION.score("limb", 0.7, 0.1, None) == 0.7


def test_the_critic_finds_what_the_detector_holds_for_well_formed():
    found = Detections.of([HERE, THERE], [0.6, 0.6], [LIMB, LIMB])
    assert max(malformed(reconsidered(found, 0.05))) < 0.1
    assert min(malformed(reconsidered(found, 0.99))) > 0.5
    assert len(reconsidered(found, 0.99)) == 4  # the well-formed rows are still there


def test_one_row_for_each_part_and_other_classes_as_they_were():
    found = Detections.of(
        [HERE, [11, 10, 30, 50], [10, 10, 32, 50], [0, 0, 96, 96], HERE],
        [0.8, 0.7, 0.3, 0.9, 0.6],
        [BAD_LIMB, BAD_LIMB, LIMB, PERSON, BAD_HAND],
    )
    looked = reconsidered(found, 0.5)
    assert len(malformed(looked)) == 1
    assert malformed(looked, BAD_HAND) == [0.6]
    assert malformed(looked, PERSON) == [0.9]


def test_what_is_hardly_seen_is_no_part():
    assert places(Detections.of([HERE], [0.2], [LIMB]), BAD_LIMB) == []


def test_the_box_is_the_loose_one_where_the_malformed_one_is_seen():
    tight, loose = [10, 10, 30, 50], [10, 10, 38, 50]
    sure = places(Detections.of([tight, loose], [0.9, 0.4], [LIMB, BAD_LIMB]), BAD_LIMB)
    faint = places(Detections.of([tight, loose], [0.9, 0.1], [LIMB, BAD_LIMB]), BAD_LIMB)
    assert [place.xyxy for place in (*sure, *faint)] == [loose, tight]
    assert (faint[0].malformed, faint[0].well_formed) == pytest.approx((0.1, 0.9))


def test_no_part_no_row():
    assert len(reconsidered(Detections.empty(), 0.9)) == 0
