"""Colours that were not there before are seen; light, noise and what was there anywhere are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.repair.colour import foreign_colour
from service.repair.gate_params import GATE_PARAMS

SKY, TROUSERS, RED = (200, 215, 240), (60, 60, 130), (190, 40, 60)
SIDE = 96
MASK = np.zeros((SIDE, SIDE), np.float32)
MASK[20:90, 50:80] = 1.0


def legs(left, right, width: int = 14) -> np.ndarray:
    picture = np.full((SIDE, SIDE, 3), SKY, np.uint8)
    picture[20:90, 25 : 25 + width] = left
    picture[20:90, 55 : 55 + width] = right
    return picture


def test_a_leg_in_other_trousers_is_foreign():
    before = legs(TROUSERS, SKY)
    assert foreign_colour(before, legs(TROUSERS, RED), MASK) == pytest.approx(14 / 30, abs=0.1)


def test_a_leg_like_the_other_one_is_not_and_neither_is_none():
    before = legs(TROUSERS, SKY)
    assert foreign_colour(before, legs(TROUSERS, TROUSERS), MASK) < GATE_PARAMS.max_foreign_colour
    assert foreign_colour(before, before, MASK) == 0.0
    assert foreign_colour(before, legs(RED, RED), np.zeros_like(MASK)) == 0.0


@pytest.mark.parametrize("scale", [1, 4])
def test_the_size_of_the_picture_does_not_matter(scale: int):
    before, after = legs(TROUSERS, SKY), legs(TROUSERS, RED)
    large = [np.kron(p, np.ones((scale, scale, 1), np.uint8)) for p in (before, after)]
    mask = np.kron(MASK, np.ones((scale, scale), np.float32))
    assert foreign_colour(*large, mask) == pytest.approx(foreign_colour(before, after, MASK), abs=0.1)


@given(st.integers(-25, 25), st.integers(0, 2**16))
def test_a_shade_of_what_was_there_is_not_foreign(shade: int, seed: int):
    before = legs(TROUSERS, SKY)
    grain = np.random.default_rng(seed).integers(-6, 7, before.shape)
    after = np.clip(legs(TROUSERS, TROUSERS).astype(int) + shade + grain, 0, 255).astype(np.uint8)
    assert foreign_colour(before, after, MASK) < GATE_PARAMS.max_foreign_colour
