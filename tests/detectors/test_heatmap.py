from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detectors.heatmap import attribution, heatmap, mask_of, overlay


class RedSpots:
    """Takes the redness of one place for the defect, and of another for its opposite."""

    bad, good = (slice(10, 20), slice(30, 42)), (slice(40, 50), slice(8, 18))

    def defect_energy(self, image, xyxy):
        red = image[:, 0] ** 2
        return red[:, *self.bad].sum((1, 2)) - red[:, *self.good].sum((1, 2))


@pytest.fixture(scope="module")
def image():
    pixels = np.random.default_rng(0).integers(0, 60, (64, 72, 3), np.uint8)
    pixels[RedSpots.bad] += np.array([180, 0, 0], np.uint8)
    pixels[RedSpots.good] += np.array([180, 0, 0], np.uint8)
    return pixels


def test_what_the_pixels_add_sums_up_to_the_energy(image):
    import cv2

    whole = attribution(RedSpots(), image, samples=8)
    sigma = 0.12 * np.hypot(64, 72)
    ends = [
        torch.from_numpy(p / np.float32(255)).permute(2, 0, 1)[None]
        for p in (image, cv2.GaussianBlur(image, (0, 0), sigma))
    ]
    sharp, blurred = (float(RedSpots().defect_energy(end, None)) for end in ends)
    assert whole.shape == (64, 72)
    assert float(whole.sum()) == pytest.approx(sharp - blurred, rel=0.01)


def test_it_is_hot_where_the_score_comes_from(image):
    heat = heatmap(RedSpots(), image)
    assert heat.dtype == np.float32
    assert heat.min() == 0.0
    assert heat.max() == 1.0
    assert heat[RedSpots.bad].mean() > 0.5
    assert heat[RedSpots.good].mean() < 0.1, "what speaks against it is cold"
    mask = mask_of(heat)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert mask[15, 36] == 1.0
    assert mask[RedSpots.good].sum() == 0


def test_nothing_to_see_is_cold(image):
    class Blind:
        def defect_energy(self, image, xyxy):
            return image.sum((1, 2, 3)) * 0.0

    heat = heatmap(Blind(), image, (4.0, 4.0, 20.0, 20.0))
    assert not heat.any()
    assert not mask_of(heat).any()
    assert np.array_equal(overlay(image, heat), image)


def test_the_region_is_what_is_asked_about(image):
    asked = []

    class Asked(RedSpots):
        def defect_energy(self, image, xyxy):
            asked.append(xyxy)
            return super().defect_energy(image, xyxy)

    heatmap(Asked(), image, (1.0, 2.0, 30.0, 40.0), samples=2)
    assert asked == [(1.0, 2.0, 30.0, 40.0)] * 2


def test_the_overlay_is_a_picture_that_shows_it(image):
    shown = overlay(image, heatmap(RedSpots(), image))
    assert shown.dtype == np.uint8
    assert shown.shape == image.shape
    assert not np.array_equal(shown, image)


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0, 1), st.integers(1, 5))
def test_masks_lie_in_the_heat_and_lose_small_places(seed, threshold, least_share, most):
    heat = np.random.default_rng(seed).random((12, 14)).astype(np.float32) ** 3
    mask = mask_of(heat, threshold, least_share, most)
    assert (heat[mask > 0] >= np.float32(threshold)).all()
    assert mask_of(heat, threshold, 0.0, 200).sum() >= mask.sum()
    if (heat >= threshold).any():
        assert mask.any()
