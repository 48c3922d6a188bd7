"""One picture from several runs: seeds, a budget of restarts, and the choice among the finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from detectors.detections import Image
from service.core.errors import InvalidRequest
from service.core.listener import SILENT, Listener
from service.core.params import RepairParams
from service.core.requests import GenerateRequest
from service.core.runs import Run, RunEnd, Sampling
from service.diffusion.model import DiffusionModel
from service.generation.abort_rules import PreviewThresholds
from service.generation.ranking import rank
from service.generation.watched_run import Drawing, RunWatcher, unwatched
from service.repair.inspection import Inspector


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The chosen picture."""

    image: Image
    seed: int
    sampling: Sampling


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Makes the runs for a picture and chooses the best.

    Attributes:
        generator: the model that generates the pictures.
        inspector: compares finished pictures; its detector watches the runs.
        fitted: fitted thresholds of the watch; None for guessed ones.
    """

    generator: DiffusionModel
    inspector: Inspector
    fitted: PreviewThresholds | None

    def best(self, request: GenerateRequest, first_seed: int, picture: int, listener: Listener) -> Chosen:
        """Generates the candidates for one picture of a request and returns the best.

        Candidate ``k`` is made from the picture's first seed plus ``k``. Further seeds are tried only if all
        candidates were stopped; the last of these runs is always finished.

        Args:
            request: the request.
            first_seed: first seed of the whole request.
            picture: index of the picture in the request.
            listener: receives the progress.

        Raises:
            InvalidRequest: the model does not support the requested watch.
        """
        watcher = self._watcher(request)
        start = first_seed + picture * request.seeds_per_image
        seeds = range(start, start + request.seeds_per_image)
        progress = self._progress(request, picture, listener)
        runs, finished = list[Run](), dict[int, Image]()
        progress.at(0, 0)
        for place, seed in enumerate(seeds):
            if place >= request.best_of and finished:
                break
            drawing = self._drawing(request, picture, progress, place, listener)
            may_stop = bool(finished) or seed != seeds[-1]
            image, run = self._one(watcher, drawing, seed, may_stop)
            runs.append(run)
            if image is not None:
                finished[place] = image
        progress.at(request.best_of, 0)
        place = self._best_of(request, runs, finished)
        runs[place] = replace(runs[place], chosen=True)
        return Chosen(finished[place], runs[place].seed, _sampling(tuple(runs), watcher, len(seeds)))

    def _one(
        self, watcher: RunWatcher | None, drawing: Drawing, seed: int, may_stop: bool
    ) -> tuple[Image | None, Run]:
        if watcher is None:
            return unwatched(self.generator, drawing, seed)
        return watcher.run(drawing, seed, may_stop)

    def _watcher(self, request: GenerateRequest) -> RunWatcher | None:
        if request.watch is None:
            return None
        if not self.generator.can_be_tapped:
            raise InvalidRequest(
                "this model's scheduler cannot be looked into", code="watch_unsupported", allowed=False
            )
        if request.watch.in_flight and not self.generator.can_resume:
            raise InvalidRequest(
                "a run of this model cannot be taken up again", code="in_flight_unsupported", allowed=False
            )
        return RunWatcher.of(self.generator, self.inspector.detector, self.fitted, request.watch)

    def _progress(self, request: GenerateRequest, picture: int, listener: Listener) -> _Progress:
        steps = request.num_inference_steps or self.generator.defaults.num_inference_steps
        return _Progress(listener, picture, request.num_images, request.best_of, steps)

    def _drawing(
        self, request: GenerateRequest, picture: int, progress: _Progress, place: int, listener: Listener
    ) -> Drawing:
        defaults = self.generator.defaults
        guidance = defaults.guidance_scale if request.guidance_scale is None else request.guidance_scale
        return Drawing(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            width=request.width or defaults.width,
            height=request.height or defaults.height,
            num_inference_steps=progress.steps,
            guidance_scale=guidance,
            on_step=partial(progress.at, min(place, request.best_of - 1)),
            on_preview=None if listener is SILENT else partial(listener.preview, picture),
            wants_preview=listener.wants_preview,
        )

    def _best_of(self, request: GenerateRequest, runs: list[Run], finished: Mapping[int, Image]) -> int:
        """Returns the index of the best run; if there was a choice, stores the scores of each in ``runs``."""
        if len(finished) == 1:
            return next(iter(finished))
        badness = {}
        for place, image in finished.items():
            params = request.repair or RepairParams()
            seen = rank(image, self.inspector, params)
            badness[place] = seen.badness
            runs[place] = replace(
                runs[place],
                conf=seen.conf,
                critic=seen.critic,
                defects=seen.defects,
                detector_passes=runs[place].detector_passes + seen.passes,
            )
        return min(finished, key=lambda place: (badness[place], place))


@dataclass(slots=True)
class _Progress:
    """Reports steps as if no run were stopped: a restart is reported only once it gets farther."""

    listener: Listener
    picture: int
    num_images: int
    best_of: int
    steps: int
    told: int = 0

    def at(self, run: int, done: int) -> None:
        """Reports that ``done`` steps of this run are done."""
        whole = self.best_of * self.steps
        self.told = max(self.told, min(run * self.steps + min(done, self.steps), whole))
        self.listener.progress("generate", self.picture * whole + self.told, self.num_images * whole)


def _sampling(runs: tuple[Run, ...], watcher: RunWatcher | None, budget: int) -> Sampling:
    if watcher is None:
        return Sampling(runs=runs)
    notes = list(watcher.notes)
    if len(runs) == budget and all(run.end is RunEnd.ABORTED for run in runs[:-1]) and runs[-1].alarm:
        notes.append(f"all {budget} seeds of the budget looked hopeless: the last run was finished")
    return Sampling(runs=runs, preview=watcher.preview.kind, thresholds=watcher.origin, notes=tuple(notes))
