from __future__ import annotations

import numpy as np
import pytest

from detectors import masks
from service.core.params import Method
from service.core.regions import Region
from service.repair.methods.base import RegionContext
from service.repair.methods.redraw import fill, redraw, starts_from_fill
from service.repair.prompts import Prompts, prompts_for
from service.repair.rungs import Rung
from service.repair.window import window_of
from tests.fakes import PaintInpainter, picture


def region(name: str = "malformed_hand", box=(30, 30, 60, 60), size_hw=(96, 96), margin: int = 5) -> Region:
    x1, y1, x2, y2 = box
    loose = masks.box_mask((x1 - margin, y1 - margin, x2 + margin, y2 + margin), size_hw)
    return Region(
        xyxy=box, class_name=name, conf=0.9, denoise_mask=loose, composite_mask=masks.feather(loose, margin)
    )


def context_of(place: Region, image, window, prompts: Prompts | None = None) -> RegionContext:
    return RegionContext(image=image, region=place, window=window, prompts=prompts or Prompts())


def rung_of(strength: float, fill: bool = False) -> Rung:
    return Rung(method=Method.REDRAW, strength=strength, seeds=1, fill=fill)


def test_each_seed_gives_a_patch_the_size_of_the_window():
    image, place = picture(size_hw=(96, 80)), region(size_hw=(96, 80))
    window = window_of(place, (96, 80), 64)
    inpainter = PaintInpainter(lambda seed, strength: (seed, seed, seed))
    context = context_of(place, image, window, Prompts("a hand"))
    drawn = redraw(inpainter, context, rung_of(0.5), [10, 200])
    x1, y1, x2, y2 = window.box
    assert [patch.shape for patch in drawn.patches] == [(y2 - y1, x2 - x1, 3)] * 2
    middle = [int(patch[45 - y1, 45 - x1, 0]) for patch in drawn.patches]
    assert middle == [10, 200]
    assert inpainter.calls == [(0.5, (10, 200), "a hand")]
    assert (drawn.repainted[(place.denoise_mask > 0)[y1:y2, x1:x2]] > 0).all()


def test_what_is_repainted_is_whole_latent_cells():
    masks_seen = []

    class Watching(PaintInpainter):
        def inpaint(self, image, mask, **rest):
            masks_seen.append(mask)
            return super().inpaint(image, mask, **rest)

    place = region(box=(31, 33, 50, 57))
    inpainter = Watching(lambda *_: (0, 0, 0), native_px=96)
    context = context_of(place, picture(), window_of(place, (96, 96), 96))
    redraw(inpainter, context, rung_of(1), [1])
    (mask,) = masks_seen
    assert np.array_equal(mask, masks.snap_to_cells(mask, 8))
    assert 0 < mask.mean() < 1


@pytest.mark.parametrize(
    ("name", "strength", "filled"),
    [
        ("malformed_limb", 0.55, False),
        ("malformed_limb", 0.75, True),
        ("malformed_limb", 1.0, True),
        ("malformed_hand", 1.0, False),
        ("limb", 1.0, False),
    ],
)
def test_a_malformed_limb_is_painted_over_before_it_is_redrawn_strongly(name, strength, filled):
    assert starts_from_fill(region(name), strength) == filled


@pytest.mark.parametrize("is_filled", [False, True])
def test_what_is_painted_over_is_not_shown_to_the_model(is_filled):
    starts = []

    class Watching(PaintInpainter):
        def inpaint(self, image, mask, **rest):
            starts.append(image)
            return super().inpaint(image, mask, **rest)

    place = region("malformed_limb")
    image = picture(("malformed_limb", (30, 30, 60, 60)))
    window = window_of(place, (96, 96), 96)
    inpainter = Watching(lambda *_: (0, 0, 0), native_px=96)
    redraw(inpainter, context_of(place, image, window), rung_of(1, is_filled), [1])
    still_there = (starts[0] == (230, 20, 230)).all(axis=2).any()
    assert still_there != is_filled


def test_the_fill_continues_the_surroundings_and_leaves_them_alone():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = 40, 200
    mask = np.zeros((64, 64), np.float32)
    mask[16:48, 16:48] = 1
    image[16:48, 16:48] = (255, 0, 0)
    filled = fill(image, mask)
    assert np.array_equal(filled[mask == 0], image[mask == 0])
    assert abs(int(filled[32, 17, 0]) - 40) < 40
    assert abs(int(filled[32, 46, 0]) - 200) < 40
    assert (np.abs(np.diff(filled[32, 18:46, 0].astype(int))) < 30).all(), "the fill has an edge"


def test_a_fill_of_everything_is_plain():
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    filled = fill(image, np.ones((32, 32), np.float32))
    assert filled.std(axis=(0, 1)).max() < 1


def test_the_prompt_is_the_user_s_or_says_what_was_seen():
    assert prompts_for(region(), Prompts("a queen", "blue"), ["horse"]) == Prompts("a queen", "blue")
    assert prompts_for(region(), Prompts("", "blue"), ["horse"]) == Prompts("a hand", "blue")
    limb = region("malformed_limb")
    assert prompts_for(limb, Prompts(), ["horse", "limb"]).prompt == "a horse"
    assert prompts_for(limb, Prompts(), ["horse", "person"]).prompt == "a person riding a horse"
    assert prompts_for(limb, Prompts(), []).prompt == "a person"
    assert prompts_for(region("mask"), Prompts(), []).prompt == ""


class GuidanceHook:
    """Bends nothing, and says which run it was made for."""

    made = 0

    def __init__(self, *_):
        type(self).made += 1
        self.run = type(self).made

    def __call__(self, step):
        return None

    @property
    def energies(self):
        return [(float(self.run), 0.0)] * {1: 3, 2: 3, 3: 1}[self.run]


def test_no_more_candidates_are_drawn_at_once_than_the_memory_holds():
    place, image, seeds = region(), picture(), list(range(7))
    window = window_of(place, (96, 96), 64)
    made = []
    for most in (16, 3):
        inpainter = PaintInpainter(lambda seed, strength: (seed, seed, seed), most_at_once=most)
        guidance_hook = None if most == 16 else GuidanceHook
        made.append(redraw(inpainter, context_of(place, image, window), rung_of(0.5), seeds, guidance_hook))
    assert [len(call[1]) for call in inpainter.calls] == [3, 3, 1]
    assert all(np.array_equal(a, b) for a, b in zip(made[0].patches, made[1].patches, strict=True))
    assert made[0].energies is None
    assert [run for run, _ in made[1].energies] == [1, 1, 1, 2, 2, 2, 3]
