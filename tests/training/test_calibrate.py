from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibrate import best_cut


def test_the_cut_parts_what_can_be_parted_in_the_middle():
    scores = np.array([0.1, 0.2, 0.8, 0.9], np.float32)
    cut, recall, alarms = best_cut(scores, [False, False, True, True])
    assert (cut, recall, alarms) == (pytest.approx(0.5), 1.0, 0.0)


@given(st.lists(st.tuples(st.floats(-5, 5, width=16), st.booleans()), min_size=2, max_size=30))
def test_no_other_cut_does_better(rows):
    malformed = [bad for _, bad in rows]
    if len(set(malformed)) < 2:
        return
    scores = np.array([score for score, _ in rows], np.float32)
    truth = np.array(malformed)
    cut, recall, alarms = best_cut(scores, malformed)
    assert recall == (scores[truth] >= cut).mean()
    assert alarms == (scores[~truth] >= cut).mean()
    for other in np.unique(scores)[1:]:
        gain = (scores[truth] >= other).mean() - (scores[~truth] >= other).mean()
        assert recall - alarms >= gain - 1e-6


def test_alarms_are_bounded():
    scores, malformed = np.array([0.1, 0.4, 0.6, 0.2, 0.5, 0.9], np.float32), [False] * 3 + [True] * 3
    assert best_cut(scores, malformed)[2] > 0
    cut, recall, alarms = best_cut(scores, malformed, most_alarms=0.0)
    assert (recall, alarms) == (pytest.approx(1 / 3), 0.0)
    assert 0.6 < cut < 0.9
