from __future__ import annotations

from service.diffusion.decision import FRACTIONS, PreviewThresholds
from service.engine import Engine
from service.report import GenerateRequest
from service.runs import Thresholds, WatchParams
from tests.service.test_watching import Scripted
from training.previews import fitted, watched_runs


def test_what_is_fitted_is_what_the_service_then_goes_by(tiny_model, tmp_path):
    # Three looks and then the end: every other run shows the defect in all of them.
    bad, good = [0.8, 0.8, 0.8, *[0.8] * 4], [0.1, 0.1, 0.1, 0.1, 0.1]
    detector = Scripted(*(good + bad) * 8)
    runs = list(watched_runs(tiny_model, detector, None, ["a hand", "a horse"], 16))
    assert [run.malformed for run in runs] == [False, True] * 8
    assert all(len(run.looks) == len(FRACTIONS) for run in runs)
    thresholds, figures = fitted(runs, tiny_model, detector, 0.05)
    assert (figures["runs"], figures["malformed"], figures["stopped_wrongly"]) == (16, 8, 0.0)
    thresholds.save(tmp_path / "previews.json")
    loaded = PreviewThresholds.load(tmp_path / "previews.json")
    assert loaded == thresholds
    engine = Engine(tiny_model, Scripted(0.8), preview_thresholds=loaded)
    request = GenerateRequest("a hand", seed=1, repair=None, watch=WatchParams())
    sampling = engine.generate(request)[0].sampling
    assert sampling.thresholds is Thresholds.FITTED
    assert [run.end.value for run in sampling.runs] == ["aborted", "finished"]
