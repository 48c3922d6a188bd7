from __future__ import annotations

import pytest

from service.core.params import WATCH_FRACTIONS
from service.diffusion.hooks import StopRun, tap
from service.diffusion.preview import preview_for
from service.generation.abort_rules import Limit, PreviewThresholds, Rule
from service.generation.watch_hook import WatchHook
from tests.service.diffusion.guides import ScriptedDetector
from tests.service.diffusion.test_hooks import run_family

LIMITS = PreviewThresholds(limits={f: {"malformed_hand": Limit(0.5, 0.9)} for f in WATCH_FRACTIONS})


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return tiny_model._text_to_image


def watch_of(pipeline, *confs, **arguments):
    detector = ScriptedDetector(*confs)
    return WatchHook(preview_for(pipeline), detector, LIMITS, (64, 32), **arguments), detector


def test_a_good_run_is_looked_at_and_let_be(pipeline):
    watch, detector = watch_of(pipeline, 0.3, 0.6, 0.2)
    with tap(pipeline, [watch]):
        assert len(run_family(pipeline, steps=10)) == 1
    assert [look.index for look in watch.looks] == [2, 4, 6]
    assert [look.fraction for look in watch.looks] == list(WATCH_FRACTIONS)
    assert watch.reason is None
    assert detector.images[0].shape == (32, 32, 3)
    (seen,) = watch.looks[1].defects
    assert seen.class_name == "malformed_hand"
    assert seen.conf == pytest.approx(0.6)
    assert seen.xyxy == (8, 16, 16, 32), "in pixels of the finished picture, not of the preview"


def test_two_hits_running_stop_it(pipeline):
    watch, _ = watch_of(pipeline, 0.6, 0.7)
    with pytest.raises(StopRun) as stopped, tap(pipeline, [watch]):
        run_family(pipeline, steps=10)
    assert stopped.value.reason is watch.reason
    assert (watch.reason.rule, watch.reason.index) == (Rule.TWICE, 4)


def test_it_can_tell_without_stopping(pipeline):
    watch, _ = watch_of(pipeline, 0.95, 0.6, 0.0, stop=False)
    with tap(pipeline, [watch]):
        run_family(pipeline, steps=10)
    assert len(watch.looks) == 3
    assert watch.reason.rule is Rule.FAR_OVER


@pytest.mark.parametrize(("steps", "expected"), [(1, [0]), (2, [0]), (3, [0, 1]), (4, [0, 1, 2])])
def test_short_runs_are_watched_too(pipeline, steps, expected):
    watch, _ = watch_of(pipeline, sparing=False)
    with tap(pipeline, [watch]):
        run_family(pipeline, steps=steps)
    assert [look.index for look in watch.looks] == expected


@pytest.mark.parametrize(
    ("confs", "sparing", "looks"), [((0.3, 0.4), True, 2), ((0.3, 0.6), True, 3), ((0.3, 0.4), False, 3)]
)
def test_the_last_look_is_left_out_where_there_is_nothing_to_confirm(pipeline, confs, sparing, looks):
    watch, detector = watch_of(pipeline, *confs, sparing=sparing)
    with tap(pipeline, [watch]):
        run_family(pipeline, steps=10)
    assert len(watch.looks) == len(detector.images) == looks


def test_a_single_look_is_never_left_out(pipeline):
    watch, _ = watch_of(pipeline, fractions=(0.5,))
    with tap(pipeline, [watch]):
        run_family(pipeline, steps=10)
    assert [look.index for look in watch.looks] == [4]


def test_looks_are_told_with_their_picture(pipeline):
    told = []
    watch, detector = watch_of(pipeline, on_preview=lambda look, image: told.append((look, image)))
    with tap(pipeline, [watch]):
        run_family(pipeline, steps=10)
    assert [look for look, _ in told] == watch.looks
    assert all(image is seen for (_, image), seen in zip(told, detector.images, strict=True))


def test_a_batch_is_refused(pipeline):
    watch, _ = watch_of(pipeline)
    with pytest.raises(ValueError, match="one picture, not 2"), tap(pipeline, [watch]):
        run_family(pipeline, num_images_per_prompt=2)
