from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.nudge_controls import RandomNudge
from service.core.errors import InvalidRequest
from service.core.params import NudgeParams
from service.diffusion.hooks import Step
from service.diffusion.latents import cells_around, mask_to_cells
from service.diffusion.nudge import Nudge, NudgeTuning, masked_rms, steps_within, unit_direction, views
from service.diffusion.parameterization import Parameterization, PredictionType
from tests.service.diffusion.guides import DarkGuide, LinearLatents, PresentDarkGuide

REGION = (64.0, 64.0, 96.0, 96.0)  # cells 8..12 of 32
INSIDE = (..., slice(8, 12), slice(8, 12))


@pytest.fixture
def mask():
    mask = np.zeros((256, 256), np.float32)
    mask[64:96, 64:96] = 1
    return mask


def step_at(index=9, total=20, batch=2):
    x0 = torch.randn(batch, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    return Step(index, total, 0, Parameterization(PredictionType.EPSILON, 0.8, 0.6), x0, x0, None)


def nudge_of(mask, guide=None, kind=Nudge, tuning=None, **params):
    return kind(LinearLatents(), guide or DarkGuide(), REGION, mask, NudgeParams(**params), tuning=tuning)


@pytest.mark.parametrize("kind", [Nudge, RandomNudge])
def test_nothing_changes_outside_the_mask(mask, kind):
    step = step_at()
    changed = nudge_of(mask, kind=kind)(step)
    outside = torch.ones_like(step.x0, dtype=torch.bool)
    outside[INSIDE] = False
    assert torch.equal(changed[outside], step.x0[outside])
    assert not torch.equal(changed[INSIDE], step.x0[INSIDE])


def test_the_gradient_lowers_the_energy_and_a_random_direction_does_not(mask):
    gradient, random = (nudge_of(mask, kind=kind, strength=(0.1, 0.1)) for kind in (Nudge, RandomNudge))
    step = step_at()
    for nudge in (gradient, random):
        nudge(step)
    (ours,), (theirs,) = gradient.steps, random.steps
    assert ours.energy_before == theirs.energy_before
    assert ours.energy_after < ours.energy_before - 0.005
    assert abs(theirs.energy_after - theirs.energy_before) < (ours.energy_before - ours.energy_after) / 3


@pytest.mark.parametrize("kind", [Nudge, RandomNudge])
def test_the_step_is_a_share_of_the_region_s_own_size(mask, kind):
    step = step_at()
    changed = nudge_of(mask, kind=kind, strength=(0.05, 0.05), tuning=NudgeTuning(clip=100.0))(step)
    moved = (changed - step.x0)[INSIDE].square().mean((1, 2, 3)).sqrt()
    own = step.x0[INSIDE].square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(moved, 0.05 * own, rtol=1e-3)


def test_the_strength_falls_over_the_window(mask):
    nudge = nudge_of(mask)
    for index in range(20):
        assert (nudge(step_at(index)) is None) is (index not in range(3, 14))
    strengths = [step.strength for step in nudge.steps]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == pytest.approx(0.2)
    assert strengths[-1] == pytest.approx(0.05)


def test_a_part_may_not_be_blurred_away(mask):
    """Checks that the price of presence turns the nudge round where energy and presence fall together."""
    step = step_at()
    free, bound = (
        nudge_of(mask, PresentDarkGuide(), presence_weight=w, strength=(0.1, 0.1)) for w in (0.0, 5.0)
    )
    for nudge in (free, bound):
        first = nudge(step)
        nudge(Step(10, 20, 0, step.parameterization, first, first, None))
    assert free.steps[1].presence_after < free.steps[1].presence_before
    assert bound.steps[1].presence_after > bound.steps[1].presence_before
    assert nudge_of(mask).steps == []


def test_only_the_surroundings_are_decoded_and_the_region_goes_with_them(mask):
    nudge = nudge_of(mask, copies=2)
    nudge(step_at())
    assert set(nudge._preview.decoded) == {(2, 4, 10, 10)}, "2.5 times a region of 4 cells"
    assert {xyxy for _, xyxy in nudge._guide.asked} == {(3.0, 3.0, 7.0, 7.0)}
    assert len(nudge._guide.asked) == 4, "before, two views, after"


def test_the_same_seed_nudges_the_same_way(mask):
    first, second = (nudge_of(mask)(step_at()) for _ in range(2))
    assert torch.equal(first, second)


def test_a_flat_guide_changes_nothing(mask):
    class Flat:
        def defect_energy(self, image, xyxy):
            return image.sum((1, 2, 3)) * 0.0

    step = step_at()
    assert torch.equal(nudge_of(mask, Flat())(step), step.x0)


def test_what_makes_no_sense_is_refused(mask):
    for wrong in ({"strength": (0.0, 0.1)}, {"copies": 0}):
        with pytest.raises(InvalidRequest, match=next(iter(wrong))[:6]):
            NudgeParams(**wrong)
    with pytest.raises(ValueError, match="must"):
        NudgeParams(window=(0.7, 0.2))
    with pytest.raises(ValueError, match="must"):
        NudgeTuning(context=0.5)


@given(st.integers(1, 60), st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: tuple(sorted(pair))))
def test_every_run_has_a_step_to_nudge(total, window):
    found = steps_within(total, window)
    assert found
    assert all(0 <= index < max(1, total - 1) for index in found)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 5))
def test_directions_have_size_one_and_are_cut_off(seed, clip):
    generator = torch.Generator().manual_seed(seed)
    weight = (torch.rand(1, 1, 6, 6, generator=generator) > 0.4).float()
    weight[..., 0, 0] = 1
    slope = torch.randn(2, 3, 6, 6, generator=generator) ** 3
    direction = unit_direction(slope, weight, 1e9)
    assert torch.allclose(masked_rms(direction, weight), torch.ones(2, 1, 1, 1), atol=1e-4)
    assert not direction[(weight == 0).expand_as(direction)].any()
    assert unit_direction(slope, weight, clip).abs().max() <= clip


@given(
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
    st.tuples(*(st.floats(0, 1),) * 4),
    st.floats(1, 4),
)
def test_a_crop_holds_its_region_and_lies_in_the_picture(size_hw, shares, context):
    height, width = size_hw
    x1, x2 = sorted((shares[0] * width, shares[1] * width))
    y1, y2 = sorted((shares[2] * height, shares[3] * height))
    rows, columns = -(-height // 8), -(-width // 8)
    left, top, right, bottom = cells_around((x1, y1, x2, y2), size_hw, (rows, columns), context)
    assert 0 <= left < right <= columns
    assert 0 <= top < bottom <= rows
    assert left * width / columns <= x1 + 1e-6
    assert x2 <= right * width / columns + 1e-6
    assert top * height / rows <= y1 + 1e-6
    assert y2 <= bottom * height / rows + 1e-6


def test_a_cell_is_in_the_mask_if_any_of_its_pixels_is():
    mask = np.zeros((64, 48), np.float32)
    mask[17, 9] = 0.25
    cells = mask_to_cells(mask, (8, 6))
    assert cells.shape == (1, 1, 8, 6)
    assert cells.nonzero().tolist() == [[0, 0, 2, 1]]
    assert float(cells.max()) == 0.25


def test_the_first_view_is_the_plain_one_and_the_others_are_near():
    picture = torch.nn.functional.interpolate(
        torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)), (32, 32), mode="bilinear"
    )
    plain, *others = views(picture, 4, 0.04, torch.Generator().manual_seed(0))
    assert plain is picture
    assert len(others) == 3
    for other in others:
        assert 0 < (other - picture).abs().mean() < 0.1


class Squares(DarkGuide):
    """Keeps something for its gradient, and notes how many pictures it is asked about with one."""

    def __init__(self):
        super().__init__()
        self.at_once = []

    def defect_energy(self, image, xyxy):
        if image.requires_grad:
            self.at_once.append(len(image))
        return super().defect_energy(image.square(), xyxy)


def test_a_gradient_is_taken_of_no_more_pictures_than_the_memory_holds(mask):
    step = step_at(batch=5)
    whole = Nudge(LinearLatents(), Squares(), REGION, mask, NudgeParams(copies=4))
    wanted = whole(step)
    assert whole._guide.at_once == [5] * 5, "once to weigh it, and four views"
    each = 4 * 3 * 10 * 10 * 2 * 4  # of a view: the sigmoid and the square of 3 x 10 x 10, in four views
    split = Nudge(LinearLatents(), Squares(), REGION, mask, NudgeParams(copies=4), batch_bytes=3 * each)
    found = split(step)
    assert max(split._guide.at_once[1:]) < 5
    assert sum(split._guide.at_once[1:]) == 5 * 4
    assert torch.allclose(found, wanted, atol=1e-6)
    assert np.allclose(split.energies, whole.energies)


def test_presence_is_kept_by_picture_where_a_batch_is_split(mask):
    step = step_at(batch=3)
    made = []
    for budget in (2**31, 1):
        nudge = Nudge(
            LinearLatents(),
            PresentDarkGuide(),
            REGION,
            mask,
            NudgeParams(presence_weight=5.0),
            batch_bytes=budget,
        )
        first = nudge(step)
        made.append(nudge(Step(10, 20, 0, step.parameterization, first, first, None)))
    assert torch.allclose(*made, atol=1e-6)


def test_whoever_ends_the_work_is_heard_before_each_call_of_the_guide(mask):
    guide, calls = DarkGuide(), []

    def before_call():
        calls.append(len(guide.asked))
        if len(calls) == 3:
            raise KeyboardInterrupt

    nudge = Nudge(LinearLatents(), guide, REGION, mask, NudgeParams(copies=8), before_call=before_call)
    with pytest.raises(KeyboardInterrupt):
        nudge(step_at())
    assert calls == [0, 1, 2]
