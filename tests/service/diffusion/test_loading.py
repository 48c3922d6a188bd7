from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from service.core.errors import ModelUnavailable
from service.core.params import Method, RegionSettings
from service.diffusion.loading import load_diffusion, resolve_source
from tests.tiny import TINY_PX, build_tiny_generator


def test_the_bundled_model_and_its_own_defaults(tiny_model):
    assert tiny_model.family == "StableDiffusionPipeline"
    assert tiny_model.source == "bundled"
    assert tiny_model.model_id.startswith("generator@")
    assert (tiny_model.native_px, tiny_model.cell_px) == (TINY_PX, 8)
    assert tiny_model.defaults.num_inference_steps == 4
    assert tiny_model._inpainting.unet.dtype == torch.float32, "half precision is for storing, on a CPU"
    assert tiny_model._inpainting.unet is tiny_model._text_to_image.unet, "the weights are not shared"


def test_a_folder_without_defaults_takes_those_of_its_family(tiny_models_dir, tmp_path):
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "mine")
    (folder / "anatomend.json").unlink()
    model = load_diffusion(str(folder), tmp_path, "cpu")
    assert model.source == str(folder)
    assert model.defaults.num_inference_steps == 30
    assert model.defaults.guidance_scale == 7.5
    assert (model.defaults.width, model.defaults.height) == (TINY_PX, TINY_PX)


def test_a_model_may_say_how_it_redraws_a_part_best(tiny_models_dir, tmp_path):
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "mine")
    stored = json.loads((folder / "anatomend.json").read_text())
    limb = {"strengths": [1, 0.5], "methods": ["redraw"]}
    (folder / "anatomend.json").write_text(json.dumps(stored | {"per_class": {"limb": limb}}))
    model = load_diffusion(str(folder), tmp_path, "cpu")
    assert model.per_class == {"limb": RegionSettings(strengths=(1.0, 0.5), methods=(Method.REDRAW,))}


def test_the_id_follows_the_weights(tiny_models_dir, tmp_path):
    first = load_diffusion("bundled", tiny_models_dir, "cpu").model_id
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "generator")
    assert load_diffusion(str(folder), tmp_path, "cpu").model_id == first
    (folder / "README.md").write_text("another word about it")
    assert load_diffusion(str(folder), tmp_path, "cpu").model_id == first
    defaults = {"num_inference_steps": 5, "guidance_scale": 2.0, "width": 32, "height": 32}
    (folder / "anatomend.json").write_text(json.dumps(defaults))
    assert load_diffusion(str(folder), tmp_path, "cpu").model_id != first


def test_what_cannot_be_understood_says_what_was_tried(tmp_path, tiny_models_dir):
    with pytest.raises(ModelUnavailable, match=r"generator.*model_index\.json"):
        resolve_source("bundled", tmp_path)
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        resolve_source(str(tmp_path), tmp_path)
    (tmp_path / "notes.txt").write_text("no weights")
    with pytest.raises(ModelUnavailable) as refused:
        resolve_source(str(tmp_path / "notes.txt"), tmp_path)
    assert refused.value.allowed == [".safetensors", ".ckpt"]
    with pytest.raises(ModelUnavailable, match="no hub id"):
        resolve_source("no-such-thing", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"missing\.safetensors"):
        resolve_source("some/missing.safetensors", tmp_path)
    assert resolve_source("owner/name", tmp_path).path is None


def test_broken_weights_and_broken_defaults_are_named(tiny_models_dir, tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelUnavailable, match=r"broken\.safetensors"):
        load_diffusion(str(tmp_path / "broken.safetensors"), tmp_path, "cpu")
    folder = shutil.copytree(tiny_models_dir / "generator", tmp_path / "generator")
    (folder / "anatomend.json").write_text('{"no_such_setting": 1}')
    with pytest.raises(ModelUnavailable, match="no_such_setting"):
        load_diffusion(str(folder), tmp_path, "cpu")
    for wrong in ('{"per_class": 3}', '{"per_class": {"limb": {"strengths": [2]}}}'):
        (folder / "anatomend.json").write_text(wrong)
        with pytest.raises(ModelUnavailable, match=r"anatomend\.json"):
            load_diffusion(str(folder), tmp_path, "cpu")
    (folder / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelUnavailable, match="generator"):
        load_diffusion(str(folder), tmp_path, "cpu")


def test_a_hub_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match=r"hub's no-such-owner/no-such-model"):
        load_diffusion("no-such-owner/no-such-model", tmp_path, "cpu")


def test_loading_is_silent(tiny_models_dir, capfd, recwarn):
    load_diffusion("bundled", tiny_models_dir, "cpu")
    assert capfd.readouterr() == ("", "")
    assert [str(w.message) for w in recwarn] == []


def test_an_inpainting_only_unet_draws_and_redraws(tmp_path):
    build_tiny_generator(tmp_path / "generator", in_channels=9)
    model = load_diffusion("bundled", tmp_path, "cpu")
    image = model.generate(
        "a hand", negative_prompt="", seed=1, width=32, height=32, num_inference_steps=2, guidance_scale=2.0
    )
    assert image.shape == (32, 32, 3)
    mask = np.zeros((32, 32), np.float32)
    mask[8:16, 8:16] = 1
    arguments = {"prompt": "a hand", "negative_prompt": "", "strength": 1.0}
    first, second = model.inpaint(image, mask, seeds=[1, 2], **arguments)
    assert first.shape == (32, 32, 3)
    assert not np.array_equal(first, second)
