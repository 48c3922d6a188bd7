from __future__ import annotations

import inspect

import diffusers
import numpy as np
import pytest
import torch

from service.core.errors import ModelUnavailable
from service.diffusion.hooks import StopRun, replaced, tap
from service.diffusion.latents import Packing
from service.diffusion.loading import load_diffusion
from service.diffusion.parameterization import Parameterization, PredictionType, parameterization_of
from tests.service.diffusion.families import FAMILIES, SD_SCHEDULERS, build_family
from tests.tiny import build_tiny_generator

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PLAIN = {"clip_sample": False}
# Scheduler, its own settings, and the predictions that it takes.
DIFFUSING = {
    "DDIMScheduler": (PLAIN, "evs"),
    "DDPMScheduler": (PLAIN, "evs"),
    "LCMScheduler": (PLAIN, "evs"),
    "PNDMScheduler": ({"skip_prk_steps": True}, "ev"),
    "EulerDiscreteScheduler": ({}, "evs"),
    "EulerAncestralDiscreteScheduler": ({}, "ev"),
    "HeunDiscreteScheduler": ({}, "evs"),
    "KDPM2DiscreteScheduler": ({}, "e"),
    "LMSDiscreteScheduler": ({}, "ev"),
    "UniPCMultistepScheduler": ({}, "evs"),
    "DEISMultistepScheduler": ({}, "ev"),
    "DPMSolverMultistepScheduler": ({}, "evs"),
    "DPMSolverSinglestepScheduler": ({}, "evs"),
}
MORE = [
    (
        "DDIMScheduler",
        {**PLAIN, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        PredictionType.V,
    ),
    (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
        PredictionType.V,
    ),
    ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}, PredictionType.FLOW),
    ("DPMSolverSinglestepScheduler", {"algorithm_type": "sde-dpmsolver++"}, PredictionType.EPSILON),
    ("UniPCMultistepScheduler", {"use_flow_sigmas": True}, PredictionType.FLOW),
    (
        "EulerDiscreteScheduler",
        {"use_karras_sigmas": True, "timestep_spacing": "trailing"},
        PredictionType.EPSILON,
    ),
    ("PNDMScheduler", {}, PredictionType.EPSILON),
    ("HeunDiscreteScheduler", {"use_karras_sigmas": True}, PredictionType.V),
    ("TCDScheduler", PLAIN, PredictionType.EPSILON),
]
LETTERS = {"e": PredictionType.EPSILON, "v": PredictionType.V, "s": PredictionType.SAMPLE}
CASES = [
    *((name, config, LETTERS[k]) for name, (config, kinds) in DIFFUSING.items() for k in kinds),
    *MORE,
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}, PredictionType.FLOW),
    ("FlowMatchHeunDiscreteScheduler", {}, PredictionType.FLOW),
]


def build_scheduler(name, config, kind):
    scheduler = getattr(diffusers, name)
    if name.startswith("FlowMatch"):
        return scheduler(**config)
    return scheduler(prediction_type=str(kind), **NOISE, **config)


class PointMass:
    """A model of a world with one picture in it: its output, at any sample, follows from that picture."""

    def __init__(self, scheduler, kind):
        self.scheduler, self.kind = scheduler, kind
        self.components = {}

    def maybe_free_model_hooks(self):
        self.freed = True

    def output(self, picture, sample, alpha, sigma):
        noise = (sample - alpha * picture) / max(sigma, 1e-12)
        norm = (alpha**2 + sigma**2) ** 0.5
        return {
            PredictionType.EPSILON: lambda: noise,
            PredictionType.SAMPLE: lambda: picture,
            PredictionType.V: lambda: (alpha * noise - sigma * picture) / norm,
            PredictionType.FLOW: lambda: noise - picture,
        }[self.kind]()

    def run(self, picture, steps=6, until=None):
        scheduler = self.scheduler
        scheduler.set_timesteps(steps)
        sample = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
        sample = sample * getattr(scheduler, "init_noise_sigma", 1.0)
        for i, t in enumerate(scheduler.timesteps):
            if i == until:
                break
            if hasattr(scheduler, "scale_model_input"):
                scheduler.scale_model_input(sample, t)
            level = parameterization_of(scheduler, t)
            output = self.output(picture, sample, level.alpha, level.sigma)
            takes = inspect.signature(scheduler.step).parameters
            noise = {"generator": torch.Generator().manual_seed(i)} if "generator" in takes else {}
            sample = scheduler.step(output, t, sample, **noise, return_dict=False)[0]
        return sample


@pytest.fixture(scope="module")
def picture():
    return torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(7)).clamp(-2, 2)


@pytest.mark.parametrize(("name", "config", "kind"), CASES, ids=lambda value: str(value))
def test_the_one_picture_of_the_world_is_seen_at_every_step(name, config, kind, picture):
    pipeline = PointMass(build_scheduler(name, config, kind), kind)
    seen = []
    with tap(pipeline, [lambda step: seen.append(step)]):
        end = pipeline.run(picture)
    assert len(seen) == len(pipeline.scheduler.timesteps) == seen[0].total
    assert [step.index for step in seen] == list(range(len(seen)))
    assert seen[-1].is_last
    for step in seen:
        assert step.parameterization.kind is kind
        assert torch.allclose(step.x0, picture, atol=2e-3), step.index
    # The scheduler agrees about the noise: following this model, it arrives at the picture. Some
    # schedules end a little before all noise is gone.
    assert (end - picture).abs().mean() < 0.06


GIVES_X0 = [case for case in CASES if case[0].split("Discrete")[0] in {"Euler", "EulerAncestral", "Heun"}]
GIVES_X0 += [case for case in CASES if case[0] in {"DDIMScheduler", "DDPMScheduler"}]
GIVES_X0 += [
    (name, {"clip_sample": True, "clip_sample_range": 0.5}, PredictionType.EPSILON)
    for name in ("DDIMScheduler", "DDPMScheduler")
]
GIVES_X0 += [("DDIMScheduler", {"clip_sample": False, "thresholding": True}, PredictionType.V)]


@pytest.mark.parametrize(("name", "config", "kind"), GIVES_X0, ids=lambda value: str(value))
def test_x0_is_the_scheduler_s_own_also_after_a_change(name, config, kind):
    scheduler = build_scheduler(name, config, kind)
    pipeline, own, ours = PointMass(scheduler, kind), [], []
    real = scheduler.step

    def step(*args, return_dict=True, **kwargs):
        result = real(*args, **kwargs)
        own.append(result.pred_original_sample)
        return (result.prev_sample,)

    def nudge(step):
        ours.append(step.x0 * 0.9 if step.index == 2 else step.x0)
        return ours[-1] if step.index == 2 else None

    noisy = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(3)) * 0.7
    with replaced(scheduler, "step", step), tap(pipeline, [nudge]):
        pipeline.run(noisy)
    assert len(own) == len(ours) > 4
    for theirs, mine in zip(own, ours, strict=True):
        assert torch.allclose(theirs, mine, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", list(PredictionType))
@pytest.mark.parametrize("sigma", [0.01, 0.5, 0.999])
def test_a_change_of_x0_is_a_change_of_the_output_there_only(kind, sigma):
    alpha = 1 - sigma if kind is PredictionType.FLOW else (1 - sigma**2) ** 0.5
    parameterization = Parameterization(kind, alpha, sigma)
    generator = torch.Generator().manual_seed(0)
    output, sample, noise = (torch.randn(2, 3, 4, 4, generator=generator) for _ in range(3))
    x0 = parameterization.x0(output, sample)
    changed = x0.clone()
    changed[..., :2] += noise[..., :2]
    new = parameterization.output_for(changed, x0, output, sample)
    assert torch.equal(new[..., 2:], output[..., 2:])
    assert torch.allclose(parameterization.x0(new, sample), changed, atol=1e-4, rtol=1e-4)


def test_without_noise_there_is_nothing_to_change():
    x = torch.ones(1, 1, 1, 1)
    with pytest.raises(ValueError, match="no noise"):
        Parameterization(PredictionType.EPSILON, 1.0, 0.0).output_for(x + 1, x, x, x)


def test_what_is_not_understood_is_refused():
    for scheduler in (diffusers.EDMEulerScheduler(), diffusers.DDIMScheduler(prediction_type="other")):
        scheduler.set_timesteps(3)
        with pytest.raises(ModelUnavailable, match=type(scheduler).__name__):
            parameterization_of(scheduler, scheduler.timesteps[0])


def test_packing_is_the_pipeline_s_own_and_turns_back():
    grid = torch.randn(2, 16, 6, 4)
    packed = diffusers.FluxPipeline._pack_latents(grid, 2, 16, 6, 4)
    packing = Packing((6, 4))
    assert torch.equal(packing.pack(grid), packed)
    assert torch.equal(packing.unpack(packed), grid)


def test_it_is_taken_off_again_and_nests(picture):
    scheduler = build_scheduler("EulerDiscreteScheduler", {}, PredictionType.EPSILON)
    pipeline, seen = PointMass(scheduler, PredictionType.EPSILON), []

    def fails(step):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), tap(pipeline, [fails]):
        pipeline.run(picture)
    assert "step" not in vars(scheduler)
    with tap(pipeline, [lambda step: seen.append("outer")]):
        with pytest.raises(StopRun), tap(pipeline, [_Stop(1)]):
            pipeline.run(picture)
        assert pipeline.freed
        pipeline.run(picture, until=1)
    assert "step" not in vars(scheduler)
    assert seen == ["outer", "outer"], "one of each run: the inner tap stopped the second step first"
    with tap(pipeline, []):
        assert "step" not in vars(scheduler)


class _Stop:
    def __init__(self, at):
        self.at = at

    def __call__(self, step):
        if step.index == self.at:
            raise StopRun("seen enough")


def test_a_hook_after_the_step_changes_what_comes_next(picture):
    class Blank:
        def after(self, step, latents):
            return torch.zeros_like(latents) if step.is_last else None

    pipeline = PointMass(build_scheduler("DDIMScheduler", PLAIN, PredictionType.V), PredictionType.V)
    with tap(pipeline, [Blank()]):
        assert not pipeline.run(picture).any()


def run_family(pipeline, steps=4, seed=0, **arguments):
    if "max_sequence_length" in inspect.signature(pipeline.__call__).parameters:
        arguments = {"max_sequence_length": 16} | arguments
    return pipeline(
        "a hand",
        height=32,
        width=32,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
        output_type="np",
        **arguments,
    ).images


@pytest.fixture(scope="module", params=FAMILIES)
def pipeline(request, tmp_path_factory):
    return build_family(request.param, tmp_path_factory.mktemp(request.param))


def test_hooks_that_change_nothing_change_nothing(pipeline):
    plain, seen = run_family(pipeline), []
    packing = Packing.of(pipeline, 32, 32)
    with tap(pipeline, [], packing):
        assert np.array_equal(run_family(pipeline), plain)
    with tap(pipeline, [lambda step: seen.append(step.sample.shape)], packing):
        assert np.array_equal(run_family(pipeline), plain)
    assert len(seen) >= 4
    assert set(seen) == {(1, 4, 4, 4)}


@pytest.mark.parametrize("name", SD_SCHEDULERS)
def test_nor_do_they_with_another_scheduler(tiny_model, name):
    pipeline = tiny_model._text_to_image
    scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config)
    with replaced(pipeline, "scheduler", scheduler):
        plain = run_family(pipeline)
        with tap(pipeline, [lambda step: None]):
            assert np.array_equal(run_family(pipeline), plain)


def test_a_stopped_run_calls_the_denoiser_no_more_and_decodes_nothing(pipeline, monkeypatch):
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    calls = []
    handle = denoiser.register_forward_hook(lambda *_: calls.append("denoiser"))
    monkeypatch.setattr(pipeline.vae, "decode", lambda *_, **__: calls.append("decode"))
    with pytest.raises(StopRun) as stopped, tap(pipeline, [_Stop(1)], Packing.of(pipeline, 32, 32)):
        run_family(pipeline)
    handle.remove()
    assert stopped.value.reason == "seen enough"
    assert calls == ["denoiser"] * 2


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("name", ["DDIMScheduler", "HeunDiscreteScheduler", "EulerDiscreteScheduler"])
def test_redrawing_is_tapped_too_and_counted_from_where_it_begins(
    inpainting_models, channels, strength, name
):
    model, seen = inpainting_models[channels], []
    pipeline = model._inpainting
    scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config)
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:24] = 1

    def redrawn():
        return model.inpaint(image, mask, prompt="", negative_prompt="", strength=strength, seeds=[1, 2])

    with replaced(pipeline, "scheduler", scheduler):
        plain = redrawn()
        with tap(pipeline, [lambda step: seen.append(step)]):
            assert np.array_equal(redrawn(), plain)
    assert [step.index for step in seen] == list(range(seen[0].total))
    assert seen[-1].is_last
    assert seen[0].x0.shape == (2, 4, 4, 4)


@pytest.fixture(scope="module")
def inpainting_models(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inpainting")
    build_tiny_generator(folder / "generator", in_channels=9)
    return {4: tiny_model, 9: load_diffusion("bundled", folder, "cpu")}
