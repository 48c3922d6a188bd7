"""Runs that are watched: stopped, started anew within a budget, compared, mended in flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from detectors.detections import Detections
from service.core.errors import InvalidRequest
from service.core.listener import SILENT, Listener, Silent
from service.core.params import WatchParams
from service.core.report import RepairReport
from service.core.requests import GenerateRequest
from service.core.runs import BACK_SHARE, RunEnd, ThresholdsOrigin
from service.diffusion.resume import RunRecorder
from service.engine.engine import DiffusionEngine
from service.generation.abort_rules import Limit, PreviewThresholds
from service.generation.watched_run import RunWatcher
from tests.fakes import Told
from tests.service.diffusion.guides import NAMES

STEPS = 10
LOOKS = (0.3, 0.5, 0.7)
REQUEST = GenerateRequest(
    prompt="a hand", seed=5, num_inference_steps=STEPS, repair=None, watch=WatchParams()
)
LIMITS = {f: {"malformed_hand": Limit(0.5, 0.9)} for f in LOOKS}


class Scripted:
    """Sees a malformed hand in the pictures that it is shown, as sure as is written beforehand.

    ``box`` is in shares of the sides. What the script does not reach is well-formed.
    """

    model_id, class_names = "scripted@1", NAMES
    default_conf = dict.fromkeys(NAMES, 0.4)

    def __init__(self, *confs: float, box=(0.25, 0.25, 0.5, 0.5)) -> None:
        self.confs, self.box, self.shown = list(confs), box, 0

    def detect(self, images, conf):
        return [self._one(image, conf) for image in images]

    def _one(self, image, conf):
        self.shown += 1
        seen = self.confs.pop(0) if self.confs else 0.0
        height, width = image.shape[:2]
        box = [share * side for share, side in zip(self.box, (width, height) * 2, strict=True)]
        found = Detections.of([box] * 2, [seen, 0.9 if seen < 0.4 else 0.0], [1, 0])
        return found[found.conf >= conf]


@contextmanager
def counting(model) -> Iterator[dict[str, int]]:
    """Counts calls of the UNet, and decodes of the pipeline, which are those of the whole latents."""
    counts = {"unet": 0, "decode": 0}
    pipeline = model._text_to_image

    def unet(*_):
        counts["unet"] += 1

    hook = pipeline.unet.register_forward_pre_hook(unet)
    decode, looking = pipeline.vae.decode, model.preview()

    def counted(latents, *args, **kwargs):
        counts["decode"] += 1
        return decode(latents, *args, **kwargs)

    looked = looking.decode

    def look(x0):
        counts["decode"] -= 1
        return looked(x0)

    pipeline.vae.decode, looking.decode = counted, look
    try:
        yield counts
    finally:
        hook.remove()
        del pipeline.vae.decode, looking.decode


@pytest.fixture
def fitted(tiny_model) -> PreviewThresholds:
    return PreviewThresholds(
        limits=LIMITS, detector="scripted@1", preview="own", generator=tiny_model.model_id
    )


@pytest.fixture
def make(tiny_model, fitted):
    def made(*confs, request=REQUEST, listener: Listener = SILENT, box=None, **watch) -> RepairReport:
        detector = Scripted(*confs, box=box) if box else Scripted(*confs)
        engine = DiffusionEngine(tiny_model, detector, preview_thresholds=fitted)
        if watch:
            request = replace(request, watch=WatchParams(**watch))
        return engine.generate(request, listener)[0]

    return made


@pytest.fixture(scope="module")
def plain(tiny_model):
    def draw(seed):
        return tiny_model.generate(
            "a hand", negative_prompt="", seed=seed, width=32, height=32, num_inference_steps=STEPS,
            guidance_scale=2.0,
        )  # fmt: skip

    return draw


def test_a_stopped_run_calls_the_unet_no_more_and_is_not_decoded(tiny_model, fitted):
    watcher = RunWatcher.of(tiny_model, Scripted(0.95), fitted, WatchParams())
    engine = DiffusionEngine(tiny_model, Scripted())
    drawing = engine._candidates._drawing(
        REQUEST, 0, engine._candidates._progress(REQUEST, 0, SILENT), 0, SILENT
    )
    with counting(tiny_model) as counts:
        image, run = watcher.run(drawing, 5, may_stop=True)
    assert image is None
    assert counts == {"unet": 3, "decode": 0}
    assert (run.end, run.step, run.steps) == (RunEnd.ABORTED, 3, STEPS)
    assert (run.denoiser_calls, run.decodes, run.previews, run.detector_passes) == (3, 0, 1, 1)
    alarm = run.alarm
    assert (alarm.rule, alarm.class_name, alarm.threshold) == ("far_over", "malformed_hand", 0.9)
    assert (alarm.step, alarm.fraction) == (3, 0.3)
    assert alarm.expected == pytest.approx(alarm.conf) == pytest.approx(0.95)


def test_it_looks_where_it_was_fitted_to_look_unless_it_is_said_where(tiny_model, fitted):
    late = replace(fitted, limits={f: LIMITS[f] for f in (0.5, 0.7)})
    engine = DiffusionEngine(tiny_model, Scripted(*[0.6, 0.1] * 4), preview_thresholds=late)
    run = engine.generate(REQUEST)[0].sampling.runs[0]
    assert (run.previews, run.end) == (2, RunEnd.FINISHED)
    asked = replace(REQUEST, watch=WatchParams(fractions=(0.2, 0.4, 0.5, 0.9)))
    run = engine.generate(asked)[0].sampling.runs[0]
    assert run.previews == 3, "the last look is spared where the one before saw nothing"
    guessing = DiffusionEngine(tiny_model, Scripted(*[0.5] * 8))
    assert guessing.generate(REQUEST)[0].sampling.runs[0].previews == 2
    assert PreviewThresholds(limits={}).fractions == (0.3, 0.5, 0.7)


def test_the_next_seed_is_tried_and_only_it_is_decoded(tiny_model, make, plain):
    with counting(tiny_model) as counts:
        report = make(0.6, 0.7)
    first, second = report.sampling.runs
    assert counts == {"unet": 5 + STEPS, "decode": 1}
    assert (first.seed, first.end, first.step, first.alarm.rule) == (5, RunEnd.ABORTED, 5, "seen_twice")
    assert (second.seed, second.end, second.chosen, second.alarm) == (6, RunEnd.FINISHED, True, None)
    assert report.seed == 6
    assert np.array_equal(report.image, plain(6)), "what the watch lets through is the plain run"
    assert report.sampling.thresholds is ThresholdsOrigin.FITTED
    assert report.sampling.preview == "own"
    assert report.sampling.notes == ()


def test_when_the_budget_is_used_up_the_last_run_is_finished_and_the_report_says_so(make, plain):
    report = make(0.95, 0.95, 0.95, max_restarts=2)
    runs = report.sampling.runs
    assert [run.end for run in runs] == [RunEnd.ABORTED, RunEnd.ABORTED, RunEnd.FINISHED]
    assert runs[-1].alarm is not None
    assert runs[-1].chosen
    assert np.array_equal(report.image, plain(7))
    assert any("budget" in note for note in report.sampling.notes)


def test_a_last_run_that_looks_well_is_no_used_up_budget(make):
    report = make(0.95, max_restarts=1)
    assert [run.seed for run in report.sampling.runs] == [5, 6]
    assert report.sampling.notes == ()


def test_watching_and_previews_together_change_no_bit(make, plain):
    seen: list[int] = []

    class Eager(Silent):
        def wants_preview(self):
            return True

        def preview(self, picture, step, image):
            seen.append(step)

    report = make(listener=Eager())
    assert seen
    assert np.array_equal(report.image, plain(5))
    assert report.sampling.runs[0].previews == len(LOOKS) - 1, "nothing to confirm in the last one"


def test_without_stopping_the_watch_only_tells(make, plain):
    report = make(0.95, stop=False)
    (run,) = report.sampling.runs
    assert (run.end, run.alarm.rule) == (RunEnd.FINISHED, "far_over")
    assert np.array_equal(report.image, plain(5))


def test_the_best_of_several_is_taken_by_the_gate(make, plain):
    # Three candidates, each looked at and then read by the gate: whole, compressed and reduced.
    request = replace(REQUEST, best_of=3, watch=None)
    report = make(*([0.8] * 4), *([0.5] * 4), *([0.7] * 4), request=request)
    runs = report.sampling.runs
    assert [run.conf for run in runs] == pytest.approx([0.8, 0.5, 0.7])
    assert [run.defects for run in runs] == [1, 1, 1]
    assert [run.chosen for run in runs] == [False, True, False]
    assert [run.detector_passes for run in runs] == [4, 4, 4]
    assert report.seed == 6
    assert np.array_equal(report.original, plain(6))


def test_of_equals_the_first_is_taken_and_a_clean_one_beats_all(make):
    request = replace(REQUEST, best_of=3, watch=None)
    assert make(request=request).seed == 5
    assert make(*([0.9] * 4), 0.3, 0.3, *([0.9] * 4), request=request).seed == 6


def test_hopeless_candidates_are_dropped_and_not_replaced_while_one_is_left(make):
    report = make(0.95, request=replace(REQUEST, best_of=2))
    first, second = report.sampling.runs
    assert (first.end, second.end) == (RunEnd.ABORTED, RunEnd.FINISHED)
    assert second.conf is None, "there was nothing to compare it with"


def test_no_two_pictures_share_a_seed_and_each_can_be_made_alone(tiny_model):
    engine = DiffusionEngine(tiny_model, Scripted())
    request = replace(REQUEST, best_of=2, num_images=2, watch=None)
    both = engine.generate(request)
    assert [[run.seed for run in report.sampling.runs] for report in both] == [[5, 6], [7, 8]]
    (alone,) = engine.generate(replace(request, num_images=1, seed=7))
    assert np.array_equal(alone.image, both[1].image)
    assert replace(request, watch=WatchParams(max_restarts=4)).seeds_per_image == 6


def test_progress_never_goes_back(make):
    told: list[tuple[str, int, int]] = []
    make(0.95, 0.95, 0.0, listener=Told(told))
    steps = [done for phase, done, _ in told if phase == "generate"]
    assert steps == sorted(steps)
    assert steps[-1] == STEPS


def test_in_flight_a_small_place_is_sampled_again_and_the_rest_follows(make, monkeypatch):
    keeps: list[RunRecorder] = []
    monkeypatch.setattr(
        "service.generation.watched_run.RunRecorder", lambda: keeps.append(RunRecorder()) or keeps[-1]
    )
    seen: list[torch.Tensor] = []
    real = RunWatcher._watch

    def noting(self, drawing, stop, first=0, **more):
        watch = real(self, drawing, stop, first, **more)

        def both(step):
            if first:
                seen.append(step.sample.clone())
            watch(step)

        both.looks, both.watch = watch.looks, watch
        return _Noted(watch, both)

    monkeypatch.setattr(RunWatcher, "_watch", noting)
    report = make(0.6, 0.7, box=(0.0, 0.0, 0.25, 0.25), in_flight=True)
    (run,) = report.sampling.runs
    back = 4 - round(BACK_SHARE * STEPS)
    assert (run.end, run.alarm, run.in_flight.cured) == (RunEnd.FINISHED, None, True)
    assert (run.in_flight.from_step, run.in_flight.alarm.step) == (back, 5)
    assert run.denoiser_calls == 5 + STEPS - back
    inside = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    inside[..., :2, :2] = True  # the box of 8 x 8 pixels, grown
    kept = keeps[0].samples
    for offset in range(5 - back):
        assert torch.equal(seen[offset][~inside], kept[back + offset][~inside]), offset
    assert not torch.equal(seen[0][inside], kept[back][inside])


class _Noted:
    """A watch that also notes the samples."""

    def __init__(self, watch, call) -> None:
        self._watch, self._call = watch, call

    def __call__(self, step) -> None:
        self._call(step)

    @property
    def looks(self):
        return self._watch.looks

    @property
    def reason(self):
        return self._watch.reason


def test_in_flight_leaves_a_large_defect_to_the_next_seed(make):
    report = make(0.95, box=(0, 0, 1, 1), in_flight=True)
    first, second = report.sampling.runs
    assert (first.end, first.in_flight) == (RunEnd.ABORTED, None)
    assert second.end is RunEnd.FINISHED


def test_a_place_that_stays_bad_in_flight_costs_the_run(make):
    report = make(0.95, 0.95, box=(0.0, 0.0, 0.25, 0.25), in_flight=True)
    first, second = report.sampling.runs
    assert (first.end, first.in_flight.cured) == (RunEnd.ABORTED, False)
    assert second.chosen


def test_one_seed_is_one_answer_also_in_flight(make):
    arguments = (0.6, 0.7), {"box": (0.0, 0.0, 0.25, 0.25), "in_flight": True}
    once, again = (make(*arguments[0], **arguments[1]) for _ in range(2))
    assert np.array_equal(once.image, again.image)
    assert once.sampling == again.sampling


@pytest.mark.parametrize("change", [{"detector": "x@2"}, {"generator": "x@2"}, {"preview": "linear"}])
def test_thresholds_of_other_models_are_not_used_and_the_report_says_so(tiny_model, fitted, change):
    engine = DiffusionEngine(tiny_model, Scripted(), preview_thresholds=replace(fitted, **change))
    sampling = engine.generate(REQUEST)[0].sampling
    assert sampling.thresholds is ThresholdsOrigin.GUESSED
    assert next(iter(change.values())) in sampling.notes[0]


def test_without_a_file_the_thresholds_are_guessed_and_the_report_says_so(tiny_model):
    sampling = DiffusionEngine(tiny_model, Scripted()).generate(REQUEST)[0].sampling
    assert sampling.thresholds is ThresholdsOrigin.GUESSED
    assert "no previews.json" in sampling.notes[0]


def test_a_scheduler_that_is_not_understood_is_an_error_and_no_unwatched_picture(tiny_model, monkeypatch):
    monkeypatch.setattr("service.diffusion.model.is_understood", lambda scheduler: False)
    with pytest.raises(InvalidRequest) as refused:
        DiffusionEngine(tiny_model, Scripted()).generate(REQUEST)
    assert refused.value.code == "watch_unsupported"
