"""Repairs that are bent by the detector's gradient, and its heat map; the pipeline has random weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from detectors.detections import Detections
from service.core.errors import InvalidRequest
from service.core.params import MaskSource, Method, NudgeParams, RepairParams
from service.core.report import Verdict
from service.core.requests import GenerateRequest, RepairRequest
from service.diffusion.nudge import Nudge
from tests.fakes import ColourDetector, PaintInpainter, engine_of, paint_part, picture
from tests.service.diffusion.guides import DarkGuide

BAD_HAND = ("malformed_hand", (30, 30, 60, 60))
NUDGED = RepairParams(strengths=(1.0,), seeds_per_attempt=2, methods=(Method.NUDGE,))


@dataclass
class GuidingDetector(ColourDetector):
    """Finds colours, and takes redness in the region for the defect."""

    def defect_energy(self, image, xyxy):
        return DarkGuide().defect_energy(image[:, :1], xyxy)


class Notes:
    """Keeps the noisy latents of each step."""

    def __init__(self):
        self.samples = []

    def __call__(self, step):
        self.samples.append(step.sample.clone())


def test_a_nudge_changes_no_latent_outside_the_mask(tiny_model):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:16] = 1  # cells 1..3 down, 1..2 across
    drawn = []
    for strength in (None, 0.3):
        notes, hooks = Notes(), []
        if strength:
            params = NudgeParams(strength=(strength, strength), window=(0, 1))
            hooks = [Nudge(tiny_model.preview(), DarkGuide(), (8.0, 8.0, 16.0, 24.0), mask, params)]
        tiny_model.inpaint(
            image, mask, prompt="", negative_prompt="", strength=1.0, seeds=[1, 2], hooks=[*hooks, notes]
        )
        drawn.append(notes.samples)
    outside = torch.ones(4, 4, dtype=torch.bool)
    outside[1:3, 1:2] = False
    plain, bent = drawn
    assert len(plain) == len(bent) == 4
    for before, after in zip(plain, bent, strict=True):
        assert torch.equal(before[..., outside], after[..., outside])
    assert not torch.equal(plain[-1][..., ~outside], bent[-1][..., ~outside])


def test_hooks_that_change_nothing_change_no_bit(tiny_model):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:16] = 1
    asked = {"prompt": "", "negative_prompt": "", "strength": 0.6, "seeds": [1, 2]}
    plain = tiny_model.inpaint(image, mask, **asked)
    assert np.array_equal(plain, tiny_model.inpaint(image, mask, hooks=[Notes()], **asked))


def test_steps_and_guidance_of_redrawing_can_be_set(tiny_model):
    image, mask = np.full((32, 32, 3), 90, np.uint8), np.ones((32, 32), np.float32)
    asked = {"prompt": "a hand", "negative_prompt": "", "strength": 1.0, "seeds": [1]}
    notes = Notes()
    (more,) = tiny_model.inpaint(image, mask, num_inference_steps=7, hooks=[notes], **asked)
    assert len(notes.samples) == 7
    (own,) = tiny_model.inpaint(image, mask, **asked)
    (guided,) = tiny_model.inpaint(image, mask, guidance_scale=9.0, **asked)
    assert not np.array_equal(own, more)
    assert not np.array_equal(own, guided)


def test_a_nudged_attempt_is_told_and_keeps_inside_the_mask(tiny_model):
    image = picture(BAD_HAND)
    engine = engine_of(tiny_model, GuidingDetector())
    report = engine.repair(RepairRequest(image=image, seed=4, params=NUDGED))
    (outcome,) = report.regions
    assert [attempt.method for attempt in outcome.attempts] == ["nudge"] * 2
    for attempt in outcome.attempts:
        assert attempt.guide_before is not None
        assert attempt.guide_after is not None
        assert attempt.verdict in Verdict
    outside = outcome.region.composite_mask == 0
    assert np.array_equal(report.image[outside], image[outside])
    again = engine.repair(RepairRequest(image=image, seed=4, params=NUDGED))
    assert again.regions[0].attempts == outcome.attempts


def test_a_strong_nudge_lowers_what_the_guide_sees(tiny_model):
    params = RepairParams(
        strengths=(1.0,),
        seeds_per_attempt=1,
        methods=(Method.NUDGE,),
        nudge=NudgeParams(strength=(1.0, 1.0), window=(0.0, 1.0)),
    )
    engine = engine_of(tiny_model, GuidingDetector())
    mask = np.zeros((96, 96), np.float32)
    mask[30:60, 30:60] = 1
    request = RepairRequest(image=picture(BAD_HAND), mask=mask, seed=4, params=params)
    (attempt,) = engine.repair(request).regions[0].attempts
    assert attempt.guide_after < attempt.guide_before


def test_without_nudging_nothing_is_told_of_a_guide(tiny_model):
    request = RepairRequest(image=picture(BAD_HAND), seed=4, params=RepairParams(strengths=(0.5,)))
    (outcome,) = engine_of(tiny_model, GuidingDetector()).repair(request).regions
    assert {(a.method, a.guide_before, a.guide_after) for a in outcome.attempts} == {("redraw", None, None)}


@pytest.mark.parametrize("params", [NUDGED, RepairParams(mask_source=MaskSource.HEATMAP)])
def test_what_needs_a_gradient_is_refused_before_the_work_where_there_is_none(tiny_model, params):
    detector = ColourDetector()
    engine = engine_of(tiny_model, detector)
    for call in (
        lambda: engine.repair(RepairRequest(image=picture(BAD_HAND), params=params)),
        lambda: engine.generate(GenerateRequest(prompt="a hand", repair=params)),
        lambda: engine.heatmap(picture(), Detections.empty()),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            call()
        assert refusal.value.code == "no_gradient"
    assert detector.calls == []
    assert [card.defaults["gradient"] for card in engine.models() if card.role == "detector"] == [False]


def test_another_model_that_redraws_can_be_nudged(tiny_model):
    engine = engine_of(tiny_model, GuidingDetector(), inpainter=copy.copy(tiny_model))
    report = engine.repair(RepairRequest(image=picture(BAD_HAND), seed=1, params=NUDGED))
    attempts = report.regions[0].attempts
    assert attempts and all(a.guide_before is not None for a in attempts if a.method == "nudge")


def test_another_inpainter_cannot_be_nudged(tiny_model):
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    engine = engine_of(tiny_model, GuidingDetector(), inpainter=inpainter)
    with pytest.raises(InvalidRequest, match="nudged"):
        engine.repair(RepairRequest(image=picture(BAD_HAND), params=NUDGED))


def test_the_heat_map_is_hot_on_what_is_malformed_and_the_rest_is_the_picture(tiny_model):
    image = picture(BAD_HAND, ("hand", (70, 5, 90, 25)), size_hw=(200, 200))
    engine = engine_of(tiny_model, GuidingDetector())
    shown = engine.heatmap(image, engine.detect(image))
    assert shown.shape == image.shape
    assert (shown != image).any(axis=2)[25:65, 25:65].any()
    assert np.array_equal(shown[150:], image[150:])
    sound = picture(("hand", (30, 30, 60, 60)))
    assert np.array_equal(engine.heatmap(sound, engine.detect(sound)), sound)


def test_a_repair_by_heat_map(tiny_model):
    image = picture(BAD_HAND)
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    engine = engine_of(tiny_model, GuidingDetector(), inpainter=inpainter)
    params = RepairParams(mask_source=MaskSource.HEATMAP, mask_threshold=0.1, strengths=(0.5,))
    report = engine.repair(RepairRequest(image=image, seed=1, params=params))
    (outcome,) = report.regions
    outside = outcome.region.composite_mask == 0
    assert np.array_equal(report.image[outside], image[outside])
