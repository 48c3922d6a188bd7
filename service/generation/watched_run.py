"""One watched run of the generator: it may be stopped early, or repaired in flight on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from detectors.body_parts import is_malformed
from detectors.detections import Image, Mask
from detectors.masks import box_mask, rounded_out
from detectors.protocols import Detector
from service.core.params import WATCH_FRACTIONS, WatchParams
from service.core.runs import BACK_SHARE, Alarm, InFlight, Run, RunEnd, ThresholdsOrigin
from service.diffusion.hooks import Hook, Step, StopRun
from service.diffusion.model import DiffusionModel
from service.diffusion.preview import Preview
from service.diffusion.resume import Resume, RunRecorder
from service.generation.abort_rules import (
    THRESHOLDS_FILE,
    PreviewThresholds,
    Rule,
    WatchTrigger,
    one_place,
)
from service.generation.watch_hook import Mendable, StopRule, WatchHook

GROWN_SHARE = 0.1
"""Growth of a box on each side for a repair in flight, as a share of its diagonal."""
SEED_RANGE = 2**32


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Drawing:
    """The arguments shared by all runs for one picture; sizes in pixels.

    Attributes:
        on_step: called with the number of steps done in the run.
        on_preview: called with that number and a preview, uint8 RGB; None for no previews.
        wants_preview: called before each preview; it is left out if the result is False.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    on_step: Callable[[int], None]
    on_preview: Callable[[int, Image], None] | None = None
    wants_preview: Callable[[], bool] = lambda: True

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    def by(self, model: DiffusionModel, seed: int, **more: Any) -> Image:
        """Generates the picture with a model and a seed: uint8 RGB (height, width, 3)."""
        return model.generate(
            self.prompt,
            negative_prompt=self.negative_prompt,
            seed=seed,
            width=self.width,
            height=self.height,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            on_step=self.on_step,
            on_preview=self.on_preview,
            wants_preview=self.wants_preview,
            **more,
        )


def unwatched(model: DiffusionModel, drawing: Drawing, seed: int) -> tuple[Image, Run]:
    """Makes one run without a watch."""
    steps = drawing.num_inference_steps
    image = drawing.by(model, seed)
    return image, Run(
        seed=seed, end=RunEnd.FINISHED, step=steps, steps=steps, denoiser_calls=steps, decodes=1
    )


class Count:
    """A hook that counts denoiser calls.

    Attributes:
        calls: number of calls made.
        total: number of calls that the last run would make from its start.
    """

    def __init__(self) -> None:
        self.calls = self.total = 0

    def __call__(self, step: Step) -> None:
        """Counts one call."""
        self.calls += 1
        self.total = step.total


@dataclass(frozen=True, slots=True, eq=False)
class RunWatcher:
    """Makes watched runs.

    Attributes:
        model: the generator.
        detector: inspects the previews.
        preview: decodes the previews.
        thresholds: thresholds for previews.
        origin: origin of the thresholds.
        notes: remarks on them, for the report.
        params: parameters of the watch.
    """

    model: DiffusionModel
    detector: Detector
    preview: Preview
    thresholds: PreviewThresholds
    origin: ThresholdsOrigin
    notes: tuple[str, ...]
    params: WatchParams

    @classmethod
    def of(
        cls,
        model: DiffusionModel,
        detector: Detector,
        fitted: PreviewThresholds | None,
        params: WatchParams,
    ) -> RunWatcher:
        """Builds a watcher with thresholds fitted for these models, else with guessed ones and a note why.

        Args:
            model: the generator.
            detector: inspects the previews.
            fitted: the thresholds stored beside the detector; None if there are none.
            params: parameters of the watch.
        """
        preview = model.preview()
        objection = _objection(fitted, model, detector, preview)
        if fitted is not None and objection is None:
            return cls(model, detector, preview, fitted, ThresholdsOrigin.FITTED, (), params)
        guessed = PreviewThresholds.guessed(detector.default_conf, params.fractions or WATCH_FRACTIONS)
        notes = [f"the watch's thresholds are guessed: {objection}"]
        if not any(is_malformed(name) for name in detector.class_names):
            notes.append("the detector knows no malformed class, so no run can be stopped")
        return cls(model, detector, preview, guessed, ThresholdsOrigin.GUESSED, tuple(notes), params)

    def run(self, drawing: Drawing, seed: int, may_stop: bool) -> tuple[Image | None, Run]:
        """Makes one run; the picture is None if it was stopped.

        Args:
            drawing: arguments of the run.
            seed: seed of the run.
            may_stop: True if the run may be stopped; else it is always finished.
        """
        flight, may_stop = self.params.in_flight, may_stop and self.params.stop
        count, recorder = Count(), RunRecorder()
        mendable = partial(one_place, size_hw=drawing.size_hw, default_conf=self.detector.default_conf)
        stops = partial(_stops, may_stop)
        watch = self._watch(drawing, stops, mendable=mendable if flight else None)
        image, stopped = self._sampled(drawing, seed, [count, *([recorder] if flight else []), watch])
        steps, looks = count.total, len(watch.looks)
        if stopped is None or stopped.rule is not Rule.ONE_PLACE:
            return image, _run(seed, image, watch.reason, stopped, None, count.calls, steps, looks)
        resume = _resume(recorder, stopped, drawing.size_hw, seed, steps)
        again = self._watch(drawing, stops, resume.index)
        image, stopped_again = self._sampled(drawing, seed, [count, again], resume)
        cured = again.reason is None and not any(mendable(look) for look in again.looks)
        mended = InFlight(alarm=alarm_of(stopped), from_step=resume.index, seed=resume.seed, cured=cured)
        looks += len(again.looks)
        return image, _run(seed, image, again.reason, stopped_again, mended, count.calls, steps, looks)

    def _watch(
        self, drawing: Drawing, stop: StopRule, first: int = 0, mendable: Mendable | None = None
    ) -> WatchHook:
        return WatchHook(
            self.preview,
            self.detector,
            self.thresholds,
            drawing.size_hw,
            fractions=self.params.fractions or self.thresholds.fractions,
            stop=stop,
            first=first,
            mendable=mendable,
        )

    def _sampled(
        self, drawing: Drawing, seed: int, hooks: Sequence[Hook], resume: Resume | None = None
    ) -> tuple[Image | None, WatchTrigger | None]:
        try:
            return drawing.by(self.model, seed, hooks=hooks, resume=resume), None
        except StopRun as stopped:
            if not isinstance(stopped.reason, WatchTrigger):
                raise
            return None, stopped.reason


def _stops(may_stop: bool, reason: WatchTrigger) -> bool:
    return may_stop or reason.rule is Rule.ONE_PLACE


def alarm_of(reason: WatchTrigger) -> Alarm:
    """Converts the reason of a stop to the report's record."""
    seen, limit = reason.defect, reason.limit
    return Alarm(
        rule=reason.rule.value,
        class_name=seen.class_name,
        conf=seen.conf,
        expected=reason.expected,
        threshold=limit.far if reason.rule is Rule.FAR_OVER else limit.hit,
        step=reason.index + 1,
        fraction=reason.fraction,
        xyxy=seen.xyxy,
    )


def _objection(
    fitted: PreviewThresholds | None, model: DiffusionModel, detector: Detector, preview: Preview
) -> str | None:
    """Returns the reason why the thresholds do not apply; None if they do."""
    if fitted is None:
        return f"there is no {THRESHOLDS_FILE} beside the detector"
    pairs = (
        ("generator", fitted.generator, model.model_id),
        ("detector", fitted.detector, detector.model_id),
        ("preview", fitted.preview, preview.kind),
    )
    wrong = [f"the {what} {known or '?'} and not {used}" for what, known, used in pairs if known != used]
    return f"{THRESHOLDS_FILE} was fitted for {', '.join(wrong)}" if wrong else None


def _resume(
    recorder: RunRecorder, stopped: WatchTrigger, size_hw: tuple[int, int], seed: int, steps: int
) -> Resume:
    """Goes back by ``BACK_SHARE`` of the run, inside the box of the defect."""
    index = max(0, stopped.index - max(1, round(BACK_SHARE * steps)))
    fresh = int(np.random.default_rng([seed, index]).integers(SEED_RANGE))
    return Resume(recorder, index, _place(stopped.defect.xyxy, size_hw), fresh)


def _place(xyxy: tuple[float, float, float, float], size_hw: tuple[int, int]) -> Mask:
    x1, y1, x2, y2 = xyxy
    by = GROWN_SHARE * float(np.hypot(x2 - x1, y2 - y1))
    return box_mask(rounded_out(np.array([x1 - by, y1 - by, x2 + by, y2 + by]), size_hw), size_hw)


def _run(
    seed: int,
    image: Image | None,
    reason: WatchTrigger | None,
    stopped: WatchTrigger | None,
    in_flight: InFlight | None,
    calls: int,
    steps: int,
    looks: int,
) -> Run:
    held = stopped or reason
    return Run(
        seed=seed,
        end=RunEnd.FINISHED if image is not None else RunEnd.ABORTED,
        step=steps if stopped is None else stopped.index + 1,
        steps=steps,
        alarm=None if held is None else alarm_of(held),
        in_flight=in_flight,
        denoiser_calls=calls,
        decodes=0 if image is None else 1,
        previews=looks,
        detector_passes=looks,
    )
