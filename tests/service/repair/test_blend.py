from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import masks
from service.repair.blend import MOST_GROUND_SHIFT, MOST_SHIFT, composite, match_ground, match_tone, seam
from service.repair.gate_params import GATE_PARAMS

BOX = (16, 16, 48, 48)


def soft_mask(feather_px: int = 6) -> np.ndarray:
    return masks.feather(masks.box_mask(BOX, (64, 64)), feather_px)


def landscape(seed: int = 0) -> np.ndarray:
    """Something with structure: a slope of light with grain."""
    y, x = np.mgrid[:64, :64]
    grain = np.random.default_rng(seed).normal(0, 4, (64, 64))
    return np.clip(60 + x + y / 2 + grain, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
)
def test_every_pixel_where_the_mask_is_0_is_bit_identical(size, seed, share):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    x1, y1 = int(rng.integers(size[1])), int(rng.integers(size[0]))
    x2, y2 = int(rng.integers(x1, size[1])) + 1, int(rng.integers(y1, size[0])) + 1
    mask = np.zeros(size, np.float32)
    inside = rng.random((y2 - y1, x2 - x1), np.float32)
    mask[y1:y2, x1:x2] = np.where(rng.random(inside.shape) < share, inside, 0)
    patch = rng.integers(0, 256, (y2 - y1, x2 - x1, 3), np.uint8)
    before = image.copy()
    result = composite(image, patch, (x1, y1, x2, y2), mask)
    assert np.array_equal(image, before)
    assert np.array_equal(result[mask == 0], image[mask == 0])
    low = np.minimum(image[y1:y2, x1:x2], patch)
    high = np.maximum(image[y1:y2, x1:x2], patch)
    assert (low <= result[y1:y2, x1:x2]).all()
    assert (result[y1:y2, x1:x2] <= high).all()


def test_where_the_mask_is_1_the_patch_is_taken_whole():
    image, patch = landscape(), 255 - landscape(1)
    result = composite(image, patch, (0, 0, 64, 64), soft_mask())
    assert np.array_equal(result[soft_mask() == 1], patch[soft_mask() == 1])


@given(shift=st.integers(-30, 30))
def test_a_tint_is_taken_out_up_to_the_cap(shift):
    image = landscape()
    patch = np.clip(image.astype(int) + shift, 0, 255).astype(np.uint8)
    matched = match_tone(patch, image, masks.box_mask(BOX, (64, 64)))
    left = matched.astype(int) - image
    assert abs(left.mean()) == pytest.approx(max(0, abs(shift) - MOST_SHIFT), abs=0.6)


def test_the_tone_is_read_outside_of_what_was_redrawn():
    image = landscape()
    patch = image.copy()
    patch[20:44, 20:44] = 0
    assert np.array_equal(match_tone(patch, image, masks.box_mask(BOX, (64, 64))), patch)


def test_without_surroundings_the_tone_is_left_alone():
    patch = landscape()
    assert np.array_equal(match_tone(patch, 255 - patch, np.ones((64, 64), np.float32)), patch)


def test_an_unchanged_picture_has_a_seam_of_1():
    assert seam(landscape(), landscape(), landscape(), soft_mask()) == pytest.approx(1)


@pytest.mark.parametrize("feather_px", [0, 6, 10])
def test_a_step_at_the_edge_is_seen_and_a_change_inside_is_not(feather_px):
    image, mask = landscape(), soft_mask(feather_px)
    bright = np.clip(image.astype(int) + 70, 0, 255).astype(np.uint8)
    brighter = composite(image, bright, (0, 0, 64, 64), mask)
    assert seam(image, brighter, bright, mask) > GATE_PARAMS.max_seam
    inside = image.copy()
    inside[31:33, 31:33] = 0
    assert seam(image, inside, inside, mask) < 1.2
    other_grain = composite(image, landscape(5), (0, 0, 64, 64), mask)
    assert seam(image, other_grain, landscape(5), mask) < 1.3


def test_the_outline_of_an_arm_that_ends_just_at_the_edge_is_no_seam_and_a_cut_through_it_is():
    ground, mask = np.full((64, 64, 3), 200, np.uint8), soft_mask(0)
    inside = np.flatnonzero((mask > 0).any(axis=0))
    arm_at_the_edge, arm_cut_off = ground.copy(), ground.copy()
    arm_at_the_edge[:, inside[-1] - 7 : inside[-1] + 1] = (180, 120, 90)
    arm_cut_off[:, inside[-1] - 7 : inside[-1] + 12] = (180, 120, 90)
    sound, cut = (
        seam(ground, composite(ground, patch, (0, 0, 64, 64), mask), patch, mask)
        for patch in (arm_at_the_edge, arm_cut_off)
    )
    assert sound < GATE_PARAMS.max_seam < cut


def test_a_mottled_patch_of_the_right_tone_has_a_seam_on_smooth_ground_and_none_on_mottled():
    mask = soft_mask()
    smooth = np.full((64, 64, 3), 120, np.uint8)
    blotches = cv2.GaussianBlur(
        np.random.default_rng(0).normal(0, 60, (64, 64, 3)).astype(np.float32), (0, 0), 2
    )
    mottled = np.clip(smooth + blotches, 0, 255).astype(np.uint8)
    weight = mask[..., None]
    patched = np.rint(smooth + weight * (mottled.astype(np.float32) - smooth)).astype(np.uint8)
    assert seam(smooth, patched, mottled, mask) > GATE_PARAMS.max_seam
    assert seam(mottled, mottled[:, ::-1].copy(), mottled[:, ::-1].copy(), mask) < GATE_PARAMS.max_seam


def test_a_mask_without_an_edge_has_no_seam():
    assert seam(landscape(), 255 - landscape(), 255 - landscape(), np.ones((64, 64), np.float32)) == 1


@given(st.integers(0, 1000), st.integers(-8, 8))
def test_a_patch_that_shows_the_same_in_another_tint_is_the_picture_again(seed, tint):
    image = np.random.default_rng(seed).integers(10, 240, (40, 40, 3), np.uint8)
    made = match_ground((image.astype(np.int16) + tint).astype(np.uint8), image)
    assert np.abs(made.astype(np.int16) - image).max() <= 1


def test_the_ground_takes_the_old_tone_and_what_is_new_keeps_its_own():
    image = np.full((60, 60, 3), 100, np.uint8)
    patch = np.full((60, 60, 3), 108, np.uint8)
    patch[20:40, 25:35] = 200
    made = match_ground(patch, image)
    assert np.abs(made[:10].astype(int) - 100).max() <= 1
    assert (np.abs(made[22:38, 27:33].astype(int) - 200) <= MOST_GROUND_SHIFT).all()
    assert (made[22:38, 27:33] > 185).all()


def test_where_nothing_is_the_same_nothing_is_shifted():
    image = np.full((40, 40, 3), 20, np.uint8)
    patch = np.full((40, 40, 3), 220, np.uint8)
    assert np.array_equal(match_ground(patch, image), patch)
