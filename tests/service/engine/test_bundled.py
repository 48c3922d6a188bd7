"""Tests what the bundled models have to agree on."""

from service.engine.loading import load_detector, load_generator, load_preview_thresholds
from service.runtime.settings import Settings


def test_the_watch_goes_by_thresholds_that_were_fitted_for_just_these_models():
    settings = Settings(device="cpu")
    fitted = load_preview_thresholds(settings)
    assert fitted is not None
    assert fitted.generator == load_generator(settings, "cpu").model_id
    assert fitted.detector == load_detector(settings, "cpu").model_id
