"""Thresholds for the generator's own pictures: used for these models only, and never for uploads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.detections import Image
from detectors.fusion import Fusion, Weights
from service.core.errors import ModelUnavailable
from service.core.params import RepairParams
from service.core.report import RepairReport
from service.core.requests import GenerateRequest, RepairRequest
from service.engine.engine import DiffusionEngine
from service.repair.calibration import ANY_PICTURE, FusedCalibration, GeneratorCalibration
from tests.fakes import ColourCritic, ColourDetector, PaintInpainter, engine_of, paint_part, picture
from tests.service.engine.test_engine import BAD_HAND, _Generator

FAINT = picture(BAD_HAND)
FAINT[30:60, 30:60] = (200, 50, 50)  # half as pure: the detector is half as sure


def engine(
    tiny_model, own: GeneratorCalibration | None, critic: ColourCritic | None = None
) -> DiffusionEngine:
    """One whose generator draws a hand that is malformed, but not surely."""
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    return engine_of(
        _Generator(tiny_model, FAINT), surer(), critic, inpainter=inpainter, generator_calibration=own
    )


def surer() -> ColourDetector:
    """A detector that raises no alarm at the faint hand by itself."""
    detector = ColourDetector()
    detector.default_conf = dict(detector.default_conf) | {"malformed_hand": 0.9}
    return detector


def own(conf: float = 0.3, detector: str = "colours@1", generator: str = "told@1") -> GeneratorCalibration:
    return GeneratorCalibration(conf={"malformed_hand": conf}, detector=detector, generator=generator)


def fused(critic: str = "critic@1") -> GeneratorCalibration:
    """By which the hand is malformed if the critic says so, whatever the detector makes of it."""
    by = Weights(malformed=0.2, well_formed=-0.2, critic=1.0, bias=0.0)
    return replace(
        own(conf=0.8),
        fused=FusedCalibration(conf={"malformed_hand": 0.5}, fusion=Fusion({"hand": by}), critic=critic),
    )


def red_is_malformed(crop: Image) -> float:
    return 0.95 if crop[crop.shape[0] // 2, crop.shape[1] // 2, 0] == FAINT[45, 45, 0] else 0.02


def generated(engine: DiffusionEngine, **wishes) -> RepairReport:
    return engine.generate(GenerateRequest(prompt="a hand", seed=1, **wishes))[0]


def test_own_pictures_are_judged_by_their_own_thresholds(tiny_model):
    assert not generated(engine(tiny_model, None)).regions
    assert len(generated(engine(tiny_model, own())).regions) == 1


def test_an_upload_is_judged_by_the_detector_s(tiny_model):
    looked = engine(tiny_model, own())
    assert not looked.repair(RepairRequest(image=FAINT, seed=1)).regions
    assert not len(looked.detect(FAINT))


@pytest.mark.parametrize("other", [{"detector": "another@1"}, {"generator": "another@1"}])
def test_what_was_fitted_for_other_models_is_not_used(tiny_model, other):
    assert not generated(engine(tiny_model, own(**other))).regions


def test_a_request_s_own_score_goes_before(tiny_model):
    assert not generated(engine(tiny_model, own()), repair=RepairParams(conf=0.95)).regions


def test_the_critic_takes_part_in_finding(tiny_model):
    looks = engine(tiny_model, fused(), ColourCritic(red_is_malformed))
    (outcome,) = generated(looks).regions
    assert outcome.region.class_name == "malformed_hand" and outcome.region.conf > 0.8
    assert outcome.accepted and outcome.conf_after < 0.1
    assert not generated(engine(tiny_model, fused(), ColourCritic(lambda crop: 0.02))).regions


@pytest.mark.parametrize("critic", [None, ColourCritic(red_is_malformed)])
def test_without_that_critic_the_detector_finds_alone(tiny_model, critic):
    assert not generated(engine(tiny_model, fused(critic="another@1"), critic)).regions


def test_the_critic_has_no_part_in_an_upload(tiny_model):
    looks = engine(tiny_model, fused(), ColourCritic(red_is_malformed))
    assert not looks.repair(RepairRequest(image=FAINT, seed=1)).regions


def test_the_card_tells_both(tiny_model):
    card = next(card for card in engine(tiny_model, own()).models() if card.role == "detector")
    assert card.defaults["conf"]["malformed_hand"] == 0.9
    assert card.defaults["conf_own_pictures"]["malformed_hand"] == 0.3


@pytest.mark.parametrize("kept", [own(), fused()])
def test_what_is_saved_is_read(tmp_path, kept):
    kept.save(tmp_path / "generated.json")
    assert GeneratorCalibration.load(tmp_path / "generated.json") == kept


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "broken.json").write_text('{"conf": 3}')
    with pytest.raises(ModelUnavailable, match=r"broken\.json"):
        GeneratorCalibration.load(tmp_path / "broken.json")


def for_uploads(generator: str = ANY_PICTURE) -> GeneratorCalibration:
    return replace(fused(), generator=generator)


def looking_at_uploads(tiny_model, uploads: GeneratorCalibration) -> DiffusionEngine:
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    return engine_of(
        _Generator(tiny_model, FAINT),
        surer(),
        ColourCritic(red_is_malformed),
        inpainter=inpainter,
        upload_calibration=uploads,
    )


def test_uploads_may_have_thresholds_of_their_own(tiny_model):
    looks = looking_at_uploads(tiny_model, for_uploads())
    (outcome,) = looks.repair(RepairRequest(image=FAINT, seed=1)).regions
    assert outcome.region.conf > 0.8, "the critic has a part in it"
    assert not generated(looks).regions, "the generator's own pictures are not judged by them"


def test_what_was_fitted_for_one_generator_does_not_hold_for_uploads(tiny_model):
    looks = looking_at_uploads(tiny_model, for_uploads(generator="told@1"))
    assert not looks.repair(RepairRequest(image=FAINT, seed=1)).regions
