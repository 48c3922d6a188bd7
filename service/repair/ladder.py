"""The ladder, the closed loop of a repair: redraw, verify, accept or reject, for each rung and region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from detectors.body_parts import is_malformed, part_of
from detectors.detections import Box, Image
from service.core.errors import InvalidRequest
from service.core.listener import SILENT, Listener
from service.core.params import RegionSettings
from service.core.regions import Region, RepairPlan
from service.core.report import Attempt, RegionOutcome, Verdict
from service.repair import blend
from service.repair.colour import foreign_colour
from service.repair.gate import Fit, Gate, Judgement, Reading
from service.repair.methods.base import Methods, Proposal, RegionContext
from service.repair.prompts import Prompts, prompts_for
from service.repair.rungs import Rung, region_prompts, rungs_of
from service.repair.tiles import Ask
from service.repair.window import Window, window_of

SEED_RANGE = 2**32
MOST_AT_ONCE_PX = 2**24
"""Largest number of pixels, of all pictures in one batch for the gate; each picture is a copy."""


@dataclass(frozen=True, slots=True, eq=False)
class Repaired:
    """The result of a plan. ``image`` is the same array as the input if nothing was accepted."""

    image: Image
    outcomes: tuple[RegionOutcome, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One attempt and, if it was accepted, the new pixels of its window."""

    over: Image | None
    attempt: Attempt


@dataclass(frozen=True, slots=True, eq=False)
class _Blended:
    """A candidate blended into its window, and its fit."""

    over: Image
    fit: Fit


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ladder:
    """Climbs the rungs for each region of a plan and keeps the best candidate that passes the gate.

    Attributes:
        methods: the available repair methods.
        native_px: side of the square at which they draw, in pixels.
        gate: accepts or rejects candidates.
        prompts: prompt and negative prompt of the picture.
        seen: class names found in the picture, for default prompts.
        own: the model's settings by class or part, for values that the request leaves out.
    """

    methods: Methods
    native_px: int
    gate: Gate
    prompts: Prompts = field(default_factory=Prompts)
    seen: Collection[str] = ()
    own: Mapping[str, RegionSettings] = field(default_factory=dict)

    def repair(
        self, image: Image, plan: RepairPlan, seed: int, listener: Listener = SILENT, picture: int = 0
    ) -> Repaired:
        """Repairs the regions one after another, in the plan's order.

        Args:
            image: uint8 RGB (H, W, 3); never written to.
            plan: the regions and the repair parameters.
            seed: the candidates' seeds are derived from it, the region's number and the rung.
            listener: receives the number of rungs done, and every attempt.
            picture: index of the picture in the request, for the listener.

        Raises:
            InvalidRequest: ``no_gradient``, if the plan needs a method that these models do not support.
        """
        current, outcomes = image, list[RegionOutcome]()
        ladders = [rungs_of(region, plan.params, self.own) for region in plan.regions]
        asked = {rung.method for rungs in ladders for rung in rungs}
        if missing := sorted(asked - self.methods.keys()):
            allowed = [method.value for method in self.methods]
            raise InvalidRequest(
                f"no {missing[0].value} with these models", code="no_gradient", allowed=allowed
            )
        done, total = 0, sum(len(rungs) for rungs in ladders)
        for index, rungs in enumerate(ladders):
            listener.progress("repair", done, total)
            climb = _Climb(self, plan, index, rungs, seed, current, current is not image, (done, total))
            current, outcome = climb.run(listener, picture)
            outcomes.append(outcome)
            done += len(rungs)
        listener.progress("repair", total, total)
        return Repaired(current, tuple(self._final(current, plan, outcomes)))

    def _final(self, image: Image, plan: RepairPlan, outcomes: list[RegionOutcome]) -> list[RegionOutcome]:
        """Updates the outcomes' scores from the finished picture: a later repair may overlap a region."""
        if sum(outcome.accepted for outcome in outcomes) == 0 or len(outcomes) == 1:
            return outcomes
        final = []
        for index, outcome in enumerate(outcomes):
            near = window_of(outcome.region, image.shape[:2], self.native_px).box
            reading = self.gate.read([image], outcome.region, near, rivals_of(plan, index))[0]
            final.append(replace(outcome, conf_after=reading.conf))
        return final


@dataclass(frozen=True, slots=True, eq=False)
class _Climb:
    """The climb of one region up the ladder."""

    ladder: Ladder
    plan: RepairPlan
    index: int
    rungs: tuple[Rung, ...]
    seed: int
    image: Image
    touched: bool
    passed: tuple[int, int]
    """Number of rungs of the regions before this one, and of all regions."""

    @property
    def region(self) -> Region:
        return self.plan.regions[self.index]

    def run(self, listener: Listener, picture: int) -> tuple[Image, RegionOutcome]:
        """Returns the picture after this region (the same array if nothing was accepted) and the outcome."""
        region, gate, (first, total) = self.region, self.ladder.gate, self.passed
        window = window_of(region, self.image.shape[:2], self.ladder.native_px)
        rivals = rivals_of(self.plan, self.index)
        before = gate.read([self.image], region, window.box, rivals)[0]
        if self.touched and is_malformed(region.class_name) and gate.is_sound(region, before):
            reason = "well-formed since another region was repaired"
            return self.image, RegionOutcome(
                region=region, attempts=(), accepted=False, reason=reason, conf_after=before.conf
            )
        attempts = list[Attempt]()
        for place, rung in enumerate(self.rungs):
            between_steps = partial(_still_at, listener, first + place, total)
            candidates = self._rung(window, place, rung, before, rivals, between_steps)
            for candidate in candidates:
                attempts.append(candidate.attempt)
                listener.tried(picture, self.index, candidate.attempt)
            accepted = [(c.attempt, c.over) for c in candidates if c.over is not None]
            if accepted:
                best, over = min(accepted, key=lambda pair: _badness(pair[0]))
                reason = f"well-formed after {best.method} at strength {rung.strength:g}"
                outcome = RegionOutcome(
                    region=region,
                    attempts=tuple(attempts),
                    accepted=True,
                    reason=reason,
                    conf_after=best.conf,
                )
                return _with(self.image, over, window.box), outcome
            listener.progress("repair", first + place + 1, total)
        return self.image, RegionOutcome(
            region=region,
            attempts=tuple(attempts),
            accepted=False,
            reason=_why_kept(attempts),
            conf_after=before.conf,
        )

    def _rung(
        self,
        window: Window,
        place: int,
        rung: Rung,
        before: Reading,
        rivals: Sequence[Box],
        on_step: Callable[[int], None],
    ) -> list[_Candidate]:
        region, ladder = self.region, self.ladder
        seeds = attempt_seeds(self.seed, region.number, place, rung.seeds)
        said = region_prompts(region, self.plan.params, ladder.prompts)
        context = RegionContext(
            image=self.image,
            region=region,
            window=window,
            prompts=prompts_for(region, said, ladder.seen),
            nudge=self.plan.params.nudge,
            on_step=on_step,
        )
        drawn = ladder.methods[rung.method].propose(context, rung, seeds)
        on_step(0)
        may_recolour = said.prompt != ladder.prompts.prompt or region.is_painted
        ask = partial(on_step, 0)
        at_once = max(1, MOST_AT_ONCE_PX // (self.image.shape[0] * self.image.shape[1]))
        energies: Sequence[tuple[float, float] | None] = drawn.energies or [None] * len(seeds)
        candidates = []
        for first in range(0, len(seeds), at_once):
            rows = range(first, min(first + at_once, len(seeds)))
            blended = [self._blended(drawn, row, may_recolour, ask) for row in rows]
            pictures = [_with(self.image, made.over, window.box) for made in blended]
            readings = ladder.gate.read(pictures, region, window.box, rivals)
            for row, made, reading in zip(rows, blended, readings, strict=True):
                judgement = ladder.gate.judge(region, before, reading, made.fit, rivals)
                attempt = _attempt(drawn.method, rung.strength, seeds[row], judgement, energies[row])
                is_kept = attempt.verdict is Verdict.ACCEPTED
                candidates.append(_Candidate(made.over if is_kept else None, attempt))
        return candidates

    def _blended(self, drawn: Proposal, row: int, may_recolour: bool, ask: Ask) -> _Blended:
        """Blends one candidate into its window. The cost depends on the window, not on the picture's size."""
        x1, y1, x2, y2 = drawn.window.box
        under = self.image[y1:y2, x1:x2]
        mask = self.region.composite_mask[y1:y2, x1:x2]
        ask()
        patch = blend.match_tone(drawn.patch(row), under, drawn.repainted)
        patch = blend.match_ground(patch, under, ask)
        over = blend.laid_over(under, patch, mask)
        ask()
        foreign = 0.0 if may_recolour else foreign_colour(under, over, mask)
        return _Blended(over, Fit(blend.seam(under, over, patch, mask, ask), foreign))


def _with(image: Image, part: Image, box: Box) -> Image:
    """Returns a copy of the image with one part replaced."""
    x1, y1, x2, y2 = box
    result = image.copy()
    result[y1:y2, x1:x2] = part
    return result


def rivals_of(plan: RepairPlan, index: int) -> list[Box]:
    """Returns the boxes of the plan's other regions of the same part."""
    part = part_of(plan.regions[index].class_name)
    return [r.xyxy for i, r in enumerate(plan.regions) if i != index and part_of(r.class_name) == part]


def attempt_seeds(seed: int, region: int, rung: int, count: int) -> list[int]:
    """Returns the seeds of one rung's candidates; a larger ``count`` keeps the first ones.

    They are not derived by addition to the picture's own seed: a full redraw from the noise of the picture
    would only reproduce it.
    """
    rng = np.random.default_rng([seed, region, rung])
    return [int(value) for value in rng.integers(SEED_RANGE, size=count)]


def _attempt(
    method: str, strength: float, seed: int, judgement: Judgement, energy: tuple[float, float] | None
) -> Attempt:
    return Attempt(
        method=method,
        strength=strength,
        seed=seed,
        conf=judgement.conf,
        critic=judgement.critic,
        seam=judgement.fit.seam,
        foreign_colour=judgement.fit.foreign_colour,
        verdict=judgement.verdict,
        guide_before=None if energy is None else energy[0],
        guide_after=None if energy is None else energy[1],
    )


def _badness(attempt: Attempt) -> tuple[float, float, int]:
    """Returns the sort key of accepted attempts: the scores of both models, then the seam; least is best."""
    critic = attempt.conf if attempt.critic is None else attempt.critic
    return attempt.conf + critic, attempt.seam, attempt.seed


def _still_at(listener: Listener, done: int, total: int, _step: int) -> None:
    """Reports unchanged progress between two steps, so that the listener can end the work."""
    listener.progress("repair", done, total)


def _why_kept(attempts: Sequence[Attempt]) -> str:
    counts = Counter(attempt.verdict.value for attempt in attempts)
    tally = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"original kept: no attempt passed ({tally})"
