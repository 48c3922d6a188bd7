"""The least threshold that keeps false alarms within a share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.thresholds import THRESHOLDS, least_threshold, summary


@given(
    st.lists(st.floats(0, 1, width=32), min_size=20, max_size=200),
    st.sampled_from([0.0, 0.015, 0.1, 0.5]),
)
def test_it_holds_the_share_and_no_lower_one_does(scores: list[float], share: float):
    clean = np.array(scores, np.float32)
    chosen = least_threshold(clean, share)
    place = THRESHOLDS.index(chosen)
    if chosen < THRESHOLDS[-1]:
        assert (clean >= chosen).mean() <= share
    if place > 0:
        assert (clean >= THRESHOLDS[place - 1]).mean() > share


def test_the_summary_counts_pictures_and_parts():
    scores = np.array([[0.9, 0.0], [0.1, 0.1], [0.8, 0.2], [0.2, 0.7]], np.float32)
    truth = np.array([[False, False], [False, False], [True, False], [True, True]])
    assert summary(scores, truth, [0.5, 0.5]) == "50.0% of 2 clean pictures alarmed, 66.7% of 3 recalled"
