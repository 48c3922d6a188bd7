"""Checks that a loaded model is tried out, and what it gives is looked at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from service.core.errors import ModelUnavailable
from service.diffusion.loading import load_diffusion
from service.diffusion.model import DiffusionModel
from tests.service.diffusion.families import FAMILIES, _sd, _sd3, build_family
from tests.tiny import TINY_PX

SAMPLING = {"negative_prompt": "", "width": 32, "height": 32, "num_inference_steps": 2, "guidance_scale": 3.0}
DEFAULTS = {"num_inference_steps": 2, "guidance_scale": 3.0, "width": TINY_PX, "height": TINY_PX}


def saved(pipeline: object, folder: Path, **how: object) -> str:
    pipeline.save_pretrained(folder, **how)
    (folder / "anatomend.json").write_text(json.dumps(DEFAULTS))
    return str(folder)


@pytest.mark.parametrize("part", ["vae", "unet"])
def test_a_model_that_gives_nan_is_not_taken(part, tmp_path):
    pipeline = build_family("sd15", tmp_path)
    broken = pipeline.vae.decoder.conv_out if part == "vae" else pipeline.unet.conv_out
    torch.nn.init.constant_(broken.bias, float("nan"))
    with pytest.raises(ModelUnavailable, match="NaN") as refused:
        load_diffusion(saved(pipeline, tmp_path / "model"), tmp_path, "cpu")
    assert refused.value.code == "model_output_not_finite"
    assert "float32" in str(refused.value.allowed)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_no_picture(value, tmp_path):
    """Also where it comes only later: infinity would be white, and NaN black."""
    model = load_diffusion(saved(build_family("sd15", tmp_path), tmp_path / "model"), tmp_path, "cpu")
    torch.nn.init.constant_(model.components["vae"].decoder.conv_out.bias, value)
    image, mask = np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.float32)
    with pytest.raises(ModelUnavailable) as refused:
        model.generate("a hand", seed=1, **SAMPLING)
    assert refused.value.code == "model_output_not_finite"
    with pytest.raises(ModelUnavailable) as refused:
        model.inpaint(image, mask, prompt="a hand", negative_prompt="", strength=1.0, seeds=[1])
    assert refused.value.code == "model_output_not_finite"


def test_a_missing_tokenizer_is_found_at_once(tiny_models_dir, tmp_path):
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "mine")
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(ModelUnavailable, match=r"mine.*cannot make a picture") as refused:
        load_diffusion(str(folder), tmp_path, "cpu")
    assert "tokenizer" in str(refused.value.allowed)


@pytest.mark.parametrize(
    "wrong", [{"num_inference_steps": "20"}, {"width": 100}, {"height": 0}, {"guidance_scale": "7"}]
)
def test_defaults_that_cannot_be_are_found_at_once(wrong, tiny_models_dir, tmp_path):
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "mine")
    (folder / "anatomend.json").write_text(json.dumps(DEFAULTS | wrong))
    with pytest.raises(ModelUnavailable, match=next(iter(wrong))):
        load_diffusion(str(folder), tmp_path, "cpu")


def test_a_distilled_unet_works_in_bfloat16(tmp_path):
    """Such a UNet is told of the guidance by an input of its own."""
    from diffusers import LCMScheduler

    pipeline = _sd(tmp_path, time_cond_proj_dim=16)
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config)
    model = load_diffusion(saved(pipeline, tmp_path / "model"), tmp_path, "cpu", "bfloat16")
    assert model.components["unet"].dtype == torch.bfloat16
    assert model.generate("a hand", seed=1, **SAMPLING).shape == (32, 32, 3)
    assert not model.heeds_negative(7.0)


def test_what_cannot_redraw_need_not_where_another_model_does(tmp_path):
    from diffusers import IPNDMScheduler

    pipeline = build_family("sd15", tmp_path)
    pipeline.scheduler = IPNDMScheduler()
    folder = saved(pipeline, tmp_path / "model")
    with pytest.raises(ModelUnavailable, match="add_noise"):
        load_diffusion(folder, tmp_path, "cpu")
    assert load_diffusion(folder, tmp_path, "cpu", redraws=False).limits.max_steps is None


def test_the_trial_leaves_no_trace(tiny_models_dir):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    model = load_diffusion("bundled", tiny_models_dir, "cpu")
    assert torch.equal(torch.rand(4), wanted)
    hooks = [
        hook
        for part in ("unet", "vae")
        for layer in model.components[part].modules()
        for hook in (*layer._forward_hooks.values(), *layer._forward_pre_hooks.values())
    ]
    assert hooks == []


@pytest.fixture(scope="module", params=FAMILIES)
def family_model(request, tmp_path_factory) -> DiffusionModel:
    folder = tmp_path_factory.mktemp(request.param)
    # Of SD3's latents the library redraws only those of 16 channels.
    is_sd3 = request.param == "sd3"
    pipeline = _sd3(folder, channels=16) if is_sd3 else build_family(request.param, folder)
    return load_diffusion(saved(pipeline, folder / "model"), folder, "cpu")


def test_one_step_at_full_strength_is_a_picture(family_model):
    image, mask = np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.float32)
    asked = {"prompt": "a hand", "negative_prompt": "", "strength": 1.0, "num_inference_steps": 1}
    first, second = family_model.inpaint(image, mask, seeds=[1, 2], **asked)
    assert first.shape == second.shape == (32, 32, 3)
    assert family_model.generate("a hand", seed=1, **(SAMPLING | {"num_inference_steps": 1})).std() >= 0


def test_every_size_that_a_family_says_it_takes_is_what_comes(family_model):
    step = family_model.limits.size_step_px
    for width, height in ((step, step), (3 * step, 2 * step)):
        picture = family_model.generate("a hand", seed=1, **(SAMPLING | {"width": width, "height": height}))
        assert picture.shape == (height, width, 3)
    assert step == (16 if family_model.family == "FluxPipeline" else 8)


def test_a_folder_without_plain_names_is_loaded_by_its_variant(tmp_path):
    folder = saved(build_family("sd15", tmp_path), tmp_path / "model", variant="fp16")
    model = load_diffusion(folder, tmp_path, "cpu")
    assert model.components["unet"].dtype == torch.float32
    with pytest.raises(ModelUnavailable, match="model"):
        (tmp_path / "model" / "unet" / "config.json").unlink()
        load_diffusion(folder, tmp_path, "cpu")


def test_the_bundle_is_measured_for_its_batches(tiny_model):
    assert tiny_model.bytes_per_px > 0
    assert tiny_model.most_at_once >= 16
