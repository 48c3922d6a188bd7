from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import masks


@st.composite
def painted(draw):
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    mask = (rng.random((height, width)) < share).astype(np.float32)
    if draw(st.booleans()):
        y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        mask[y : y + 15, x : x + 15] = 1
    return mask


@given(painted(), st.integers(0, 12))
def test_a_soft_edge_falls_inwards(mask, width_px):
    soft = masks.feather(mask, width_px)
    assert soft.dtype == np.float32
    assert soft.shape == mask.shape
    assert np.array_equal(soft > 0, mask > 0)
    assert soft.max() <= 1
    if mask.any():
        assert soft.max() == 1


def test_a_soft_edge_rises_from_the_edge_and_not_from_the_border():
    mask = np.zeros((40, 40), np.float32)
    mask[:, :30] = 1
    soft = masks.feather(mask, 4)
    assert np.allclose(soft[20, 24:31], [1, 1, 0.8, 0.6, 0.4, 0.2, 0])
    assert (soft[:, :25] == 1).all(), "the image's border was taken for an edge"


@given(painted(), st.integers(0, 12))
def test_growing_reaches_as_far_as_asked(mask, by_px):
    grown = masks.grow(mask, by_px)
    assert (grown[mask > 0] == 1).all()
    assert set(np.unique(grown)) <= {0.0, 1.0}
    here, there = np.argwhere(mask > 0), np.argwhere(grown > 0)
    if len(here):
        distance = np.sqrt(((there[:, None] - here[None]) ** 2).sum(axis=2)).min(axis=1)
        assert distance.max() <= by_px + 1e-3
        everywhere = np.argwhere(np.ones_like(mask))
        within = np.sqrt(((everywhere[:, None] - here[None]) ** 2).sum(axis=2)).min(axis=1) <= by_px - 1e-3
        assert grown.ravel()[within].all()


@given(painted(), st.sampled_from([1, 2, 8, 16]))
def test_snapped_cells_are_whole_and_hold_the_mask(mask, cell_px):
    snapped = masks.snap_to_cells(mask, cell_px)
    assert (snapped[mask > 0] == 1).all()
    for y in range(0, mask.shape[0], cell_px):
        for x in range(0, mask.shape[1], cell_px):
            cell = np.s_[y : y + cell_px, x : x + cell_px]
            assert (snapped[cell] == (mask[cell] > 0).any()).all()


@given(painted())
def test_components_are_the_mask_taken_apart(mask):
    parts = masks.components(mask, most=10_000)
    total = np.sum(parts, axis=0) if parts else np.zeros_like(mask)
    assert np.array_equal(total, mask >= 0.5)
    sizes = [part.sum() for part in parts]
    assert sizes == sorted(sizes, reverse=True)


def test_only_the_largest_components_are_taken():
    mask = np.zeros((20, 20), np.float32)
    mask[0:2, 0:2], mask[5:10, 5:10], mask[15:18, 15:18] = 1, 0.9, 0.4
    (largest,) = masks.components(mask, most=1)
    assert masks.bounds(largest) == (5, 5, 10, 10)
    assert len(masks.components(mask, most=9)) == 2, "what is painted faintly is not painted"


def test_bounds_of_nothing():
    assert masks.bounds(np.zeros((5, 5), np.float32)) is None


@pytest.mark.parametrize(
    ("xyxy", "expected"),
    [
        ([1.2, 2.7, 3.1, 4.0], (1, 2, 4, 4)),
        ([-5, -5, 100, 100], (0, 0, 10, 8)),
        ([3, 3, 3, 3], (3, 3, 4, 4)),
        ([50, 50, 60, 60], (9, 7, 10, 8)),
    ],
)
def test_boxes_round_outwards_and_stay_in_the_image(xyxy, expected):
    assert masks.rounded_out(np.array(xyxy), (8, 10)) == expected
    assert masks.box_mask(expected, (8, 10)).sum() == (expected[2] - expected[0]) * (
        expected[3] - expected[1]
    )
