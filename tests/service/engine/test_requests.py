"""Tests what the engine refuses, by its stable code, and what it says is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from service.core.errors import InvalidRequest, InvalidSettings, ModelUnavailable
from service.core.params import NudgeParams, NumberedRegionSettings, RegionSettings, RepairParams, WatchParams
from service.core.requests import GenerateRequest, RepairRequest
from service.engine.engine import DiffusionEngine
from service.engine.loading import choose_device
from service.runtime.settings import Settings
from tests.fakes import ColourDetector, engine_of, picture


@pytest.fixture
def engine(tiny_model) -> DiffusionEngine:
    return engine_of(tiny_model, ColourDetector(), max_side_px=256)


GENERATE = [
    ({"prompt": ""}, "empty_prompt"),
    ({"prompt": " \n"}, "empty_prompt"),
    ({"prompt": "x" * 2001}, "prompt_too_long"),
    ({"negative_prompt": "x" * 2001}, "negative_prompt_too_long"),
    ({"width": 100}, "size_not_multiple_of_8"),
    ({"height": 264}, "size_too_large"),
    ({"height": 0}, "size_too_small"),
    ({"width": -8}, "size_too_small"),
    ({"num_images": 0}, "num_images_out_of_range"),
    ({"num_images": 9}, "num_images_out_of_range"),
    ({"num_inference_steps": 0}, "num_inference_steps_out_of_range"),
    ({"num_inference_steps": 201}, "num_inference_steps_out_of_range"),
    ({"guidance_scale": -1.0}, "guidance_scale_out_of_range"),
    ({"guidance_scale": float("nan")}, "guidance_scale_out_of_range"),
    ({"seed": -1}, "seed_out_of_range"),
    ({"seed": 2**53}, "seed_out_of_range"),
    ({"best_of": 0}, "best_of_out_of_range"),
    ({"best_of": 9}, "best_of_out_of_range"),
    ({"watch": {"max_restarts": 9}}, "max_restarts_out_of_range"),
    ({"watch": {"fractions": ()}}, "fractions_out_of_range"),
    ({"watch": {"fractions": (0.5, 1.0)}}, "fraction_out_of_range"),
    ({"watch": {"fractions": (float("nan"),)}}, "fraction_out_of_range"),
]
PARAMS = [
    ({"conf": 0.0}, "conf_out_of_range"),
    ({"conf": 1.0}, "conf_out_of_range"),
    ({"conf": float("nan")}, "conf_out_of_range"),
    ({"classes": ("foot",)}, "unknown_class"),
    ({"max_regions": 0}, "max_regions_out_of_range"),
    ({"strengths": ()}, "strengths_out_of_range"),
    ({"strengths": (0.5,) * 9}, "strengths_out_of_range"),
    ({"strengths": (0.0,)}, "strength_out_of_range"),
    ({"strengths": (0.4, 1.1)}, "strength_out_of_range"),
    ({"seeds_per_attempt": 0}, "seeds_per_attempt_out_of_range"),
    ({"seeds_per_attempt": 17}, "seeds_per_attempt_out_of_range"),
    ({"grow": -0.1}, "grow_out_of_range"),
    ({"feather_px": -1}, "feather_px_out_of_range"),
    ({"merge_iou": 0.0}, "merge_iou_out_of_range"),
    ({"methods": ()}, "methods_out_of_range"),
    ({"num_inference_steps": 0}, "num_inference_steps_out_of_range"),
    ({"guidance_scale": -1.0}, "guidance_scale_out_of_range"),
    ({"max_conf": 0.0}, "max_conf_out_of_range"),
    ({"min_area": -0.1}, "min_area_out_of_range"),
    ({"min_area": 0.5, "max_area": 0.4}, "max_area_out_of_range"),
    ({"only": (64,)}, "only_out_of_range"),
    ({"skip": (-1,)}, "skip_out_of_range"),
    ({"mask_threshold": 0.0}, "mask_threshold_out_of_range"),
    ({"mask_least_share": 1.5}, "mask_least_share_out_of_range"),
    ({"nudge": {"copies": 9}}, "copies_out_of_range"),
    ({"per_class": {"foot": {}}}, "unknown_class"),
    ({"per_class": {"hand": {"strengths": (2.0,)}}}, "strength_out_of_range"),
    ({"per_class": {"mask": {"seeds_per_attempt": 0}}}, "seeds_per_attempt_out_of_range"),
    ({"per_region": ({"region": 0, "prompt": "x" * 2001},)}, "prompt_too_long"),
    ({"per_region": ({"region": 64},)}, "region_out_of_range"),
]
MASKS = [
    (np.zeros((95, 96), np.float32), "mask_size_mismatch"),
    (np.zeros((96, 96, 1), np.float32), "mask_size_mismatch"),
    (np.full((96, 96), 2, np.float32), "bad_mask"),
    (np.full((96, 96), np.nan, np.float32), "bad_mask"),
    (np.zeros((96, 96), np.uint8), "bad_mask"),
]
IMAGES = [
    np.zeros((96, 96), np.uint8),
    np.zeros((96, 96, 4), np.uint8),
    np.zeros((96, 96, 3), np.float32),
    np.zeros((0, 96, 3), np.uint8),
]


def refused(call) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        call()
    assert refusal.value.allowed is not None
    return refusal.value


def request_of(prompt="a hand", watch=None, **change) -> GenerateRequest:
    return GenerateRequest(prompt=prompt, watch=None if watch is None else WatchParams(**watch), **change)


def params_of(nudge=None, per_class=None, per_region=(), **change) -> RepairParams:
    return RepairParams(
        nudge=NudgeParams(**nudge or {}),
        per_class={name: RegionSettings(**settings) for name, settings in (per_class or {}).items()},
        per_region=tuple(NumberedRegionSettings(**settings) for settings in per_region),
        **change,
    )


@pytest.mark.parametrize(("change", "code"), GENERATE)
def test_requests_that_cannot_be_fulfilled(engine, change, code):
    assert refused(lambda: engine.generate(request_of(**change))).code == code


@pytest.mark.parametrize(("change", "code"), PARAMS)
def test_repair_parameters_out_of_range(engine, change, code):
    assert (
        refused(lambda: engine.repair(RepairRequest(image=picture(), params=params_of(**change)))).code
        == code
    )
    assert refused(lambda: engine.generate(request_of(repair=params_of(**change)))).code == code


@pytest.mark.parametrize(("mask", "code"), MASKS)
def test_masks_that_do_not_fit(engine, mask, code):
    assert refused(lambda: engine.repair(RepairRequest(image=picture(), mask=mask))).code == code


@pytest.mark.parametrize("image", IMAGES)
def test_arrays_that_are_no_pictures(engine, image):
    assert refused(lambda: engine.repair(RepairRequest(image=image))).code == "bad_image"
    assert refused(lambda: engine.detect(image)).code == "bad_image"


def test_what_is_allowed_is_said(engine):
    unknown = RepairRequest(image=picture(), params=RepairParams(classes=("foot",)))
    assert refused(lambda: engine.repair(unknown)).allowed == list(engine.class_names)
    wrong = RepairRequest(image=picture(), mask=np.zeros((10, 20), np.float32))
    assert refused(lambda: engine.repair(wrong)).allowed == {"width": 96, "height": 96}
    assert refused(lambda: engine.detect(picture(), conf=1.5)).code == "conf_out_of_range"


def test_the_limits_themselves_are_allowed(engine):
    request = GenerateRequest(
        prompt="x" * 2000, seed=2**53 - 1, width=256, height=8, num_inference_steps=1, repair=None
    )
    (report,) = engine.generate(request)
    assert report.image.shape == (8, 256, 3)


def test_missing_models_are_named(tiny_models_dir, tmp_path):
    with pytest.raises(ModelUnavailable, match="generator"):
        DiffusionEngine.load(Settings(models_dir=tmp_path, device="cpu"))
    settings = Settings(models_dir=tiny_models_dir, device="cpu")
    with pytest.raises(ModelUnavailable, match=r"nothing\.pt"):
        DiffusionEngine.load(settings.model_copy(update={"detector": "nothing.pt"}))
    with pytest.raises(ModelUnavailable, match="no-such-critic"):
        DiffusionEngine.load(settings.model_copy(update={"critic": str(tmp_path / "no-such-critic")}))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(InvalidSettings, match="ANATOMEND_DEVICE"):
        choose_device("toaster")
    with pytest.raises(InvalidSettings, match="cuda:63"):
        choose_device("cuda:63")
    assert choose_device("cpu") == "cpu"
