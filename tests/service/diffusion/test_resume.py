from __future__ import annotations

import diffusers
import pytest
import torch

from service.diffusion.hooks import StopRun, replaced, tap
from service.diffusion.latents import Packing
from service.diffusion.resume import HoldOutside, RunRecorder, resume_inside
from tests.service.diffusion.families import FAMILIES, SD_SCHEDULERS, build_family
from tests.service.diffusion.test_hooks import _Stop, run_family

STEPS, BACK_TO = 6, 2
SCHEDULERS = [*SD_SCHEDULERS, "PNDMScheduler"]


def scheduler_like(pipeline, name):
    few_calls = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    return getattr(diffusers, name).from_config(pipeline.scheduler.config, **few_calls)


class Samples:
    """Notes what every step came from and led to."""

    def __init__(self):
        self.before, self.ends = [], []

    def __call__(self, step):
        self.before.append(step.sample.clone())

    def after(self, step, latents):
        self.ends.append(latents.clone())


@pytest.fixture(scope="module")
def cells():
    cells = torch.zeros(1, 1, 4, 4)
    cells[..., 1:3, 1:3] = 1
    return cells


def kept_run(pipeline, **hooks):
    recorder, packing = RunRecorder(), Packing.of(pipeline, 32, 32)
    with tap(pipeline, [recorder], packing):
        image = run_family(pipeline, steps=STEPS, **hooks)
    return recorder, packing, image


def resumed(pipeline, recorder, packing, cells, index=BACK_TO, seed=5):
    seen = Samples()
    with resume_inside(pipeline, recorder, index, cells, [seed], [seen], packing) as latents:
        image = run_family(pipeline, steps=STEPS, latents=latents)
    return seen, image


def check(pipeline, cells):
    recorder, packing, image = kept_run(pipeline)
    calls = len(recorder.samples) - 1
    seen, again = resumed(pipeline, recorder, packing, cells)
    outside = (cells == 0).expand_as(recorder.samples[0])
    assert len(seen.before) == calls - BACK_TO, "only the later steps are run"
    for i, sample in enumerate(seen.before):
        assert torch.equal(sample[outside], recorder.samples[BACK_TO + i][outside]), i
    assert not torch.equal(seen.before[0][~outside], recorder.samples[BACK_TO][~outside])
    assert (again != image).any()
    assert not {"step", "set_timesteps", "scale_model_input"} & set(vars(pipeline.scheduler))


@pytest.mark.parametrize("family", FAMILIES)
def test_outside_the_mask_the_trajectory_is_the_kept_one(family, tmp_path, cells):
    check(build_family(family, tmp_path), cells)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_with_any_scheduler(tiny_model, name, cells):
    pipeline = tiny_model._text_to_image
    scheduler = scheduler_like(pipeline, name)
    with replaced(pipeline, "scheduler", scheduler):
        check(pipeline, cells)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in SCHEDULERS
        if name not in {"DDPMScheduler", "LCMScheduler", "EulerAncestralDiscreteScheduler"}
    ],
)
def test_with_an_empty_mask_the_rest_of_the_run_is_the_same(tiny_model, name):
    """The history of a multistep method is kept as well, so even it does not notice. (Others draw noise.)"""
    pipeline = tiny_model._text_to_image
    scheduler = scheduler_like(pipeline, name)
    with replaced(pipeline, "scheduler", scheduler):
        recorder, packing, image = kept_run(pipeline)
        unbound = RunRecorder()
        unbound.kept, unbound.samples = recorder.kept, recorder.samples[: BACK_TO + 1]
        _, again = resumed(pipeline, unbound, packing, torch.zeros(1, 1, 4, 4))
    assert abs(again - image).max() < 1e-4


def test_one_seed_is_one_repair(tiny_model, cells):
    pipeline = tiny_model._text_to_image
    recorder, packing, _ = kept_run(pipeline)
    first, again, other = (resumed(pipeline, recorder, packing, cells, seed=seed)[1] for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()


def test_a_stopped_run_is_taken_up_again(tiny_model, cells):
    pipeline, recorder = tiny_model._text_to_image, RunRecorder(at=[1, 2])
    with pytest.raises(StopRun), tap(pipeline, [recorder, _Stop(3)]):
        run_family(pipeline, steps=STEPS)
    assert sorted(recorder.kept) == [1, 2]
    assert len(recorder.samples) == 4
    seen, image = resumed(pipeline, recorder, None, cells, index=1)
    outside = (cells == 0).expand_as(recorder.samples[0])
    assert len(seen.before) == STEPS - 1
    assert torch.equal(seen.before[2][outside], recorder.samples[3][outside])
    assert image.shape == (1, 32, 32, 3)
    with pytest.raises(KeyError), resume_inside(pipeline, recorder, 0, cells, [0]):
        pass


def test_following_ends_with_what_was_kept():
    inside = torch.tensor([[[[True, False]]]])
    follow = HoldOutside([torch.zeros(1, 1, 1, 2)] * 3, 1, inside)

    class At:
        index = 0

    latents = torch.ones(1, 1, 1, 2)
    assert follow.after(At, latents).tolist() == [[[[1.0, 0.0]]]]
    At.index = 1
    assert follow.after(At, latents) is None
