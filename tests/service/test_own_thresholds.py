"""Thresholds for the generator's own pictures: used for these models only, and never for uploads."""

from __future__ import annotations

import pytest

from service.engine import Engine
from service.errors import ModelUnavailable
from service.own_thresholds import OwnThresholds
from service.report import GenerateRequest, RepairParams, RepairReport, RepairRequest
from tests.fakes import ColourDetector, PaintInpainter, paint_part, picture
from tests.service.test_engine import BAD_HAND, _Generator

FAINT = picture(BAD_HAND)
FAINT[30:60, 30:60] = (200, 50, 50)  # half as pure: the detector is half as sure


def engine(tiny_model, own: OwnThresholds | None) -> Engine:
    """One whose generator draws a hand that is malformed, but not surely."""
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    return Engine(_Generator(tiny_model, FAINT), surer(), inpainter=inpainter, own_thresholds=own)


def surer() -> ColourDetector:
    """A detector that raises no alarm at the faint hand by itself."""
    detector = ColourDetector()
    detector.default_conf = dict(detector.default_conf) | {"malformed_hand": 0.9}
    return detector


def own(conf: float = 0.3, detector: str = "colours@1", generator: str = "told@1") -> OwnThresholds:
    return OwnThresholds({"malformed_hand": conf}, detector, generator)


def generated(engine: Engine, **wishes) -> RepairReport:
    return engine.generate(GenerateRequest("a hand", seed=1, **wishes))[0]


def test_own_pictures_are_judged_by_their_own_thresholds(tiny_model):
    assert not generated(engine(tiny_model, None)).regions
    assert len(generated(engine(tiny_model, own())).regions) == 1


def test_an_upload_is_judged_by_the_detector_s(tiny_model):
    looked = engine(tiny_model, own())
    assert not looked.repair(RepairRequest(FAINT, seed=1)).regions
    assert not len(looked.detect(FAINT))


@pytest.mark.parametrize("other", [{"detector": "another@1"}, {"generator": "another@1"}])
def test_what_was_fitted_for_other_models_is_not_used(tiny_model, other):
    assert not generated(engine(tiny_model, own(**other))).regions


def test_a_request_s_own_score_goes_before(tiny_model):
    assert not generated(engine(tiny_model, own()), repair=RepairParams(conf=0.95)).regions


def test_the_card_tells_both(tiny_model):
    card = next(card for card in engine(tiny_model, own()).models() if card.role == "detector")
    assert card.defaults["conf"]["malformed_hand"] == 0.9
    assert card.defaults["conf_own_pictures"]["malformed_hand"] == 0.3


def test_what_is_saved_is_read(tmp_path):
    own().save(tmp_path / "generated.json")
    assert OwnThresholds.load(tmp_path / "generated.json") == own()
    (tmp_path / "broken.json").write_text('{"conf": 3}')
    with pytest.raises(ModelUnavailable, match=r"broken\.json"):
        OwnThresholds.load(tmp_path / "broken.json")
