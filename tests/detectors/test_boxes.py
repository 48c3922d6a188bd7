from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import boxes

number = st.floats(-1000, 1000, width=32)


@st.composite
def some_boxes(draw, least=0, most=6):
    corners = draw(st.lists(st.tuples(number, number, number, number), min_size=least, max_size=most))
    rows = np.array(corners, np.float64).reshape(-1, 4)
    return np.concatenate(
        [np.minimum(rows[:, :2], rows[:, 2:]), np.maximum(rows[:, :2], rows[:, 2:])], axis=1
    )


def test_areas_and_overlaps_by_hand():
    a, b = [0, 0, 10, 10], [5, 0, 15, 10]
    assert boxes.area([a, b]).tolist() == [100, 100]
    assert boxes.intersection(a, b).tolist() == [[50]]
    assert boxes.iou(a, b)[0, 0] == pytest.approx(1 / 3)
    assert boxes.containment([0, 0, 5, 10], a).tolist() == [[1]]
    assert boxes.contains_centre(a, b).tolist() == [[False]]
    assert boxes.contains_centre(a, [4, 0, 14, 10]).tolist() == [[True]]
    assert boxes.diagonal([0, 0, 3, 4]).tolist() == [5]


def test_boxes_that_touch_share_nothing():
    assert boxes.iou([0, 0, 10, 10], [10, 0, 20, 10]).tolist() == [[0]]


@given(some_boxes(), some_boxes())
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    overlap = boxes.iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert np.allclose(overlap, boxes.iou(b, a).T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-9)).all()


@given(some_boxes(least=1))
def test_a_box_is_like_itself(a):
    own = np.diag(boxes.iou(a, a))
    assert np.allclose(own, boxes.area(a) > 0)


@given(some_boxes())
def test_clipped_boxes_lie_in_the_image(a):
    clipped = boxes.clip(a, (48, 64))
    assert (clipped >= 0).all()
    assert (clipped <= [64, 48, 64, 48]).all()
    assert (clipped[:, 2:] >= clipped[:, :2]).all()


@given(some_boxes(), st.floats(0, 50))
def test_growing_adds_on_every_side(a, by_px):
    assert np.allclose(boxes.grow(a, by_px) - a, [-by_px, -by_px, by_px, by_px], atol=1e-9)


def test_each_box_may_grow_by_its_own_amount():
    grown = boxes.grow([[5, 5, 6, 6], [5, 5, 6, 6]], [1, 2])
    assert grown.tolist() == [[4, 4, 7, 7], [3, 3, 8, 8]]


@given(some_boxes(), st.floats(0.05, 1))
def test_groups_hold_every_box_once_and_only_neighbours(a, least_iou):
    found = boxes.groups(a, least_iou)
    assert sorted(int(i) for group in found for i in group) == list(range(len(a)))
    overlap = boxes.iou(a, a)
    for one in found:
        for other in found:
            if one is not other:
                assert (overlap[np.ix_(one, other)] < least_iou).all()


def test_merging_follows_a_chain_and_encloses_it():
    chain = [[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10], [50, 50, 60, 60]]
    assert boxes.merge(chain, 0.6).tolist() == [[0, 0, 14, 10], [50, 50, 60, 60]]
    assert boxes.merge([], 0.5).shape == (0, 4)
