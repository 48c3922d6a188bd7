"""Checks that what a model cannot do is refused before the work."""

from __future__ import annotations

import dataclasses

import diffusers
import numpy as np
import pytest

from service.core.errors import InvalidRequest
from service.core.model_limits import EngineLimits, ModelLimits
from service.core.params import RegionSettings, RepairParams
from service.core.requests import GenerateRequest, RepairRequest
from service.core.validation import check_generate
from service.diffusion.hooks import replaced
from service.diffusion.pipeline_limits import limits_of
from service.diffusion.trial import try_out
from service.engine.engine import DiffusionEngine
from service.schemas.answer_builder import model_facts
from tests.fakes import ColourDetector, picture
from tests.service.diffusion.families import build_family

FEW = {"original_inference_steps": 20}


@pytest.fixture(params=["LCMScheduler", "TCDScheduler"])
def distilled(request, tiny_model):
    """A model that runs twenty steps at the most."""
    pipelines = tiny_model._text_to_image, tiny_model._inpainting
    scheduler = getattr(diffusers, request.param).from_config(pipelines[0].scheduler.config, **FEW)
    with replaced(pipelines[0], "scheduler", scheduler), replaced(pipelines[1], "scheduler", scheduler):
        yield tiny_model


def refusal(call):
    with pytest.raises(InvalidRequest) as refused:
        call()
    return refused.value.code, refused.value.allowed


def test_more_steps_than_a_distilled_model_has_are_refused(distilled):
    engine = DiffusionEngine(distilled, ColourDetector())
    asked = GenerateRequest(prompt="a hand", seed=1, num_inference_steps=21)
    code = "num_inference_steps_out_of_range"
    assert refusal(lambda: engine.generate(asked)) == (code, [1, 20])
    assert engine.generate(dataclasses.replace(asked, num_inference_steps=20, repair=None))
    params = RepairParams(per_class={"hand": RegionSettings(num_inference_steps=21)})
    assert refusal(lambda: engine.repair(RepairRequest(image=picture(), params=params))) == (code, [1, 20])


def test_a_strength_of_less_than_a_step_is_refused_and_one_step_is_run(distilled):
    engine = DiffusionEngine(distilled, ColourDetector())
    params = RepairParams(strengths=(0.5, 0.01))
    refused = refusal(lambda: engine.repair(RepairRequest(image=picture(), params=params)))
    assert refused == ("strength_out_of_range", [0.05, 1])
    image, mask = np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.float32)
    for strength in (0.05, 0.01):
        asked = {"prompt": "a hand", "negative_prompt": "", "strength": strength}
        assert len(distilled.inpaint(image, mask, seeds=[1], **asked)) == 1


def test_a_flux_takes_multiples_of_sixteen_and_says_so(tmp_path):
    step = limits_of(build_family("flux", tmp_path)).size_step_px
    limits = EngineLimits(generator=ModelLimits(size_step_px=step))
    for side, code in (
        (88, "size_not_multiple_of_16"),
        (8, "size_not_multiple_of_16"),
        (0, "size_too_small"),
    ):
        asked = GenerateRequest(prompt="a hand", width=side, height=64)
        refused = refusal(lambda asked=asked: check_generate(asked, (), 512, limits))
        assert refused[0] == code
        assert "16" in refused[1]
    check_generate(GenerateRequest(prompt="a hand", width=16, height=48), (), 512, limits)


def test_a_slow_start_needs_as_many_steps_as_its_order(tiny_model, monkeypatch):
    pipelines = tiny_model._text_to_image, tiny_model._inpainting
    config = dict(pipelines[0].scheduler.config) | {"skip_prk_steps": False}
    scheduler = diffusers.PNDMScheduler.from_config(config)
    for pipeline in pipelines:
        monkeypatch.setattr(pipeline, "scheduler", scheduler)
    asked = GenerateRequest(prompt="a hand", seed=1, num_inference_steps=3, repair=None)
    engine = DiffusionEngine(tiny_model, ColourDetector())
    code, allowed = refusal(lambda: engine.generate(asked))
    assert (code, allowed) == ("num_inference_steps_out_of_range", [4, 200])
    assert engine.generate(dataclasses.replace(asked, num_inference_steps=4))
    try_out(tiny_model)


def test_the_cards_tell_the_limits(distilled):
    engine = DiffusionEngine(distilled, ColourDetector())
    cards = [model_facts(card) for card in engine.models()]
    assert EngineLimits.of_cards(cards) == EngineLimits(
        generator=ModelLimits(size_step_px=8, max_steps=20), redraws=ModelLimits(size_step_px=8, max_steps=20)
    )
    assert EngineLimits.of_cards([{"role": "generator"}]) == EngineLimits()
    inpainter = {"role": "inpainter", "limits": {"size_step_px": 8, "max_steps": 4}}
    assert EngineLimits.of_cards([*cards, inpainter]).redraws == ModelLimits(size_step_px=8, max_steps=4)


def test_what_a_prompt_holds_beside_words_is_in_the_report(tiny_model):
    engine = DiffusionEngine(tiny_model, ColourDetector())
    asked = GenerateRequest(prompt="a hand <lora:x:1>", negative_prompt="grey", seed=1, guidance_scale=1.0)
    (report,) = engine.generate(asked)
    assert [(one.name, one.where) for one in report.unused] == [
        ("prompt", "<lora:x:1>"),
        ("negative_prompt", ""),
    ]
    params = RepairParams(per_class={"hand": RegionSettings(prompt="a hand <lora:y:1>")})
    report = engine.repair(RepairRequest(image=picture(), prompt="a hand", params=params))
    assert [(one.name, one.where) for one in report.unused] == [("per_class.hand.prompt", "<lora:y:1>")]
    with pytest.raises(InvalidRequest, match="empty"):
        engine.generate(GenerateRequest(prompt="<lora:x:1>", seed=1))
    with pytest.raises(InvalidRequest, match="weight"):
        engine.generate(GenerateRequest(prompt="(a hand:99)", seed=1))
