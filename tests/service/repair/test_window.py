from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.repair.window import FRAMING, FRAMINGS, Framing, window_around


@st.composite
def places(draw):
    height, width = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x2, y2 = draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))
    grow = draw(st.integers(0, 40))
    held = (max(x1 - grow, 0), max(y1 - grow, 0), min(x2 + grow, width), min(y2 + grow, height))
    return (x1, y1, x2, y2), held, (height, width)


@given(places(), st.sampled_from([FRAMING, *FRAMINGS.values(), Framing(1.0, 0.0)]))
def test_a_window_holds_its_region_and_lies_in_the_image(place, framing):
    box, held, (height, width) = place
    window = window_around(box, held, (height, width), 64, framing)
    x1, y1, x2, y2 = window.box
    assert 0 <= x1 <= held[0] < held[2] <= x2 <= width
    assert 0 <= y1 <= held[1] < held[3] <= y2 <= height
    left, top, right, bottom = window.inner
    assert 0 <= left < right <= 64
    assert 0 <= top < bottom <= 64


@given(places(), st.integers(0, 2**32))
def test_cut_and_uncut_fit_together(place, seed):
    box, held, size_hw = place
    image = np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)
    window = window_around(box, held, size_hw, 64)
    canvas = window.cut(image)
    assert canvas.shape == (64, 64, 3)
    assert canvas.dtype == np.uint8
    x1, y1, x2, y2 = window.box
    patch = window.uncut(canvas)
    assert patch.shape == (y2 - y1, x2 - x1, 3)
    mask = np.zeros(size_hw, np.float32)
    mask[held[1] : held[3], held[0] : held[2]] = 1
    cut = window.cut_mask(mask)
    assert cut.max() > 0
    assert 0 <= cut.min() <= cut.max() <= 1 + 1e-6


def test_a_picture_of_the_model_s_own_size_is_shown_whole_and_unscaled():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    window = window_around((10, 10, 50, 50), (5, 5, 55, 55), (64, 64), 64)
    assert window.box == (0, 0, 64, 64)
    assert np.array_equal(window.cut(image), image)
    assert np.array_equal(window.uncut(image), image)


def test_a_small_hand_is_enlarged_and_a_leg_by_two_at_most():
    box = (100, 100, 120, 120)
    assert window_around(box, box, (400, 400), 64).side_px == 50
    assert window_around(box, box, (400, 400), 256, FRAMINGS["limb"]).side_px == 128


def test_the_window_is_moved_into_the_image():
    window = window_around((0, 0, 20, 20), (0, 0, 25, 25), (200, 100), 64)
    assert window.box == (0, 0, 50, 50)
    assert window.inner == (0, 0, 64, 64)


def test_an_endless_strip_costs_no_square_of_its_length():
    image = np.zeros((1, 2_000_000, 3), np.uint8)
    box = (0, 0, 2_000_000, 1)
    window = window_around(box, box, (1, 2_000_000), 64)
    assert window.cut(image).shape == (64, 64, 3)
    assert window.uncut(window.cut(image)).shape == image.shape
