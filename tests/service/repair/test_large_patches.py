"""A patch is put back in parts and cells; what comes of it is what one slow pass over the whole gave.

``whole_…`` is that pass: the definition, kept here to compare with.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from detectors import masks
from service.core.errors import Cancelled
from service.repair import tiles
from service.repair.blend import composite, laid_over, match_ground, match_tone, seam

SIZES = [(40, 40), (256, 256), (257, 257), (300, 411), (420, 310), (5, 400)]


def whole_tone(patch, original, repainted):
    width = max(2, round(max(repainted.shape) / 32))
    ring = (masks.grow(repainted, width) > 0) & (repainted <= 0)
    if not ring.any():
        return patch
    difference = original[ring].mean(axis=0, dtype=np.float64) - patch[ring].mean(axis=0, dtype=np.float64)
    shift = np.clip(difference, -8.0, 8.0).astype(np.float32)
    return np.rint(np.clip(patch + shift, 0.0, 255.0)).astype(np.uint8)


def whole_ground(patch, original):
    difference = original.astype(np.float32) - patch
    far = cv2.GaussianBlur(np.abs(difference).max(axis=2), (0, 0), 1.5)
    same = np.clip((30.0 - far) / 20.0, 0.0, 1.0)
    sigma = max(patch.shape[:2]) * 0.08
    carried = cv2.GaussianBlur(difference * same[..., None], (0, 0), sigma)
    known = cv2.GaussianBlur(same, (0, 0), sigma)[..., None]
    shift = np.clip(carried / (known + 0.05), -20.0, 20.0)
    return np.rint(np.clip(patch + shift, 0.0, 255.0)).astype(np.uint8)


def whole_composite(image, patch, box, mask):
    x1, y1, x2, y2 = box
    weight = mask[y1:y2, x1:x2, None]
    under = image[y1:y2, x1:x2]
    mixed = np.rint(under + weight * (patch.astype(np.float32) - under)).astype(np.uint8)
    result = image.copy()
    result[y1:y2, x1:x2] = np.where(weight > 0, mixed, under)
    return result


def whole_seam(before, after, patch, mask):
    across_y, across_x = _slopes(cv2.GaussianBlur(mask, (0, 0), 1.5))
    steepness = np.hypot(across_y, across_x)
    step = 1.0
    if steepness.max() >= 1e-6:
        towards = np.stack([across_y, across_x]) / np.maximum(steepness, 1e-6)
        old, new, drawn = (_step(picture, towards, steepness) for picture in (before, after, patch))
        step = (new + 2.0) / (max(old, drawn) + 2.0)
    inside = (mask > 0.5).astype(np.uint8)
    width = max(3, round(max(mask.shape) / 16))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    core = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    band = (inside > 0) & (core == 0)
    grain = [np.median(_grain(picture)[band]) if band.any() else 0.0 for picture in (before, after)]
    return max(step, ((grain[1] + 1.0) / (grain[0] + 1.0)) ** 0.5)


def _step(picture, towards, weight):
    down, right = _slopes(cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.5))
    across = np.abs(down * towards[0][..., None] + right * towards[1][..., None]).mean(axis=2)
    return (across * weight).sum() / weight.sum()


def _grain(picture):
    pixels = picture.astype(np.float32)
    return np.abs(pixels - cv2.GaussianBlur(pixels, (0, 0), 2.5)).mean(axis=2)


def _slopes(pixels):
    of = {"ksize": 3, "scale": 1 / 8, "borderType": cv2.BORDER_REPLICATE}
    return cv2.Sobel(pixels, cv2.CV_32F, 0, 1, **of), cv2.Sobel(pixels, cv2.CV_32F, 1, 0, **of)


def drawn_again(size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and the same redrawn: another tint from place to place, grain, and a limb moved."""
    height, width = size_hw
    rng = np.random.default_rng([height, width])

    def smooth(cells: int, spread: float) -> np.ndarray:
        few = rng.normal(0, spread, (cells, cells, 3)).astype(np.float32)
        return cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)

    ground = 128 + smooth(12, 40) + rng.normal(0, 4, (height, width, 1))
    again = ground + smooth(5, 8) + rng.normal(0, 3, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    ground[np.abs(x - width * 0.60 + y * 0.10) < width * 0.06] = (90, 130, 190)
    again[np.abs(x - width * 0.45 - y * 0.15) < width * 0.08] = (180, 120, 90)
    return tuple(np.clip(pixels, 0, 255).astype(np.uint8) for pixels in (ground, again))


def masks_of(size_hw: tuple[int, int]) -> list[np.ndarray]:
    """In the middle; reaching over two of the picture's sides; in two pieces; everywhere; nowhere."""
    height, width = size_hw
    middle = masks.box_mask((width // 4, height // 4, 3 * width // 4, 3 * height // 4), size_hw)
    corner = masks.box_mask((0, 0, width // 2, max(1, height // 3)), size_hw)
    apart = corner.copy()
    apart[-max(1, height // 5) :, -width // 6 :] = 1
    soft = [masks.feather(mask, max(2, width // 60)) for mask in (middle, corner, apart)]
    return [*soft, np.ones(size_hw, np.float32), np.zeros(size_hw, np.float32)]


@pytest.mark.parametrize("size_hw", SIZES)
def test_the_ground_is_shifted_as_in_one_pass_but_for_one_level_in_few_places(size_hw):
    image, patch = drawn_again(size_hw)
    far = np.abs(match_ground(patch, image).astype(int) - whole_ground(patch, image))
    assert far.max() <= 1
    assert (far > 0).mean() <= 0.002


@pytest.mark.parametrize("size_hw", SIZES)
def test_tone_and_composite_are_those_of_one_pass_to_the_bit(size_hw):
    image, patch = drawn_again(size_hw)
    whole = (0, 0, size_hw[1], size_hw[0])
    for mask in masks_of(size_hw):
        assert np.array_equal(match_tone(patch, image, mask), whole_tone(patch, image, mask))
        expected = whole_composite(image, patch, whole, mask)
        assert np.array_equal(composite(image, patch, whole, mask), expected)
        assert np.array_equal(laid_over(image, patch, mask), expected)


@pytest.mark.parametrize("size_hw", SIZES)
def test_a_seam_is_that_of_one_pass(size_hw):
    image, patch = drawn_again(size_hw)
    for mask in masks_of(size_hw):
        after = laid_over(image, patch, mask)
        assert seam(image, after, patch, mask) == pytest.approx(
            whole_seam(image, after, patch, mask), rel=1e-6
        )


@pytest.mark.parametrize("work", ["ground", "seam"])
def test_a_large_patch_can_be_given_up_in_its_midst(work, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiles, "TILE_PX", 16)
    monkeypatch.setattr(tiles, "BAND_PX", 16)
    image, patch = drawn_again((96, 96))
    asked = []

    def ask() -> None:
        asked.append(None)
        if len(asked) == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        if work == "ground":
            match_ground(patch, image, ask)
        else:
            seam(image, patch, patch, masks_of((96, 96))[0], ask)
    assert len(asked) == 5


def test_tiles_cover_everything_once_and_know_their_surroundings():
    numbers = np.arange(700 * 300).reshape(700, 300)
    seen = np.zeros_like(numbers)
    for tile in (*tiles.tiles((700, 300), 9), *tiles.bands((700, 300), 3)):
        seen[tile.inner] += 1
        assert np.array_equal(numbers[tile.outer][tile.core], numbers[tile.inner])
    assert (seen == 2).all()
