from __future__ import annotations

from service.core.params import WATCH_FRACTIONS, WatchParams
from service.core.requests import GenerateRequest
from service.core.runs import ThresholdsOrigin
from service.engine.engine import DiffusionEngine
from service.generation.abort_rules import Look, PreviewDefect, PreviewThresholds
from service.repair.calibration import Calibration
from service.repair.inspection import Inspector
from tests.service.generation.test_watched_run import Scripted
from training.abort_rules import WatchedRun
from training.previews import fitted, watched_runs


def test_what_is_fitted_is_what_the_service_then_goes_by(tiny_model, tmp_path):
    # Three looks and then the end: every other run shows the defect in all of them.
    bad, good = [0.8, 0.8, 0.8, *[0.8] * 4], [0.1, 0.1, 0.1, 0.1, 0.1]
    detector = Scripted(*(good + bad) * 8)
    inspector = Inspector(
        detector=detector,
        critic=None,
        native_px=tiny_model.native_px,
        calibration=Calibration(detector.default_conf),
    )
    runs = list(watched_runs(tiny_model, inspector, ["a hand", "a horse"], 16))
    assert [run.malformed for run in runs] == [False, True] * 8
    assert all(len(run.looks) == len(WATCH_FRACTIONS) for run in runs)
    thresholds, figures = fitted(runs, tiny_model, detector, 0.05)
    assert (figures["runs"], figures["malformed"], figures["stopped_wrongly"]) == (16, 8, 0.0)
    thresholds.save(tmp_path / "previews.json")
    loaded = PreviewThresholds.load(tmp_path / "previews.json")
    assert loaded == thresholds
    engine = DiffusionEngine(tiny_model, Scripted(0.8), preview_thresholds=loaded)
    request = GenerateRequest(prompt="a hand", seed=1, repair=None, watch=WatchParams())
    sampling = engine.generate(request)[0].sampling
    assert sampling.thresholds is ThresholdsOrigin.FITTED
    assert [run.end.value for run in sampling.runs] == ["aborted", "finished"]


def test_prompts_in_turns_of_four_do_not_part_what_is_fitted_from_what_is_told(tiny_model):
    def run(conf: float) -> WatchedRun:
        seen = (PreviewDefect(class_name="malformed_hand", conf=conf, xyxy=(0.0, 0.0, 9.0, 9.0)),)
        looks = tuple(
            Look(index=i, fraction=fraction, defects=seen) for i, fraction in enumerate(WATCH_FRACTIONS)
        )
        return WatchedRun(looks, malformed=False)

    runs = [run(0.8 if i % 4 == 0 else 0.1) for i in range(80)]
    _, figures = fitted(runs, tiny_model, Scripted(0.1), 0.05)
    assert figures["stopped_wrongly"] == 0.0
