"""How to repair: the frozen records of what a request may choose. Plain values, no models behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self


class Policy(StrEnum):
    """Which parts are redrawn."""

    MALFORMED = "malformed"
    EVERY = "every"


class Order(StrEnum):
    """Which regions come first, and so which are left when there are too many."""

    SCORE = "score"
    AREA = "area"
    LEFT_TO_RIGHT = "left_to_right"


class Method(StrEnum):
    """How an attempt draws: by the model alone, or bent by the detector's gradient."""

    REDRAW = "redraw"
    NUDGE = "nudge"


class MaskSource(StrEnum):
    """What of a region is redrawn: its box, or what the detector's score comes from."""

    BOX = "box"
    HEATMAP = "heatmap"


class Direction(StrEnum):
    """Where a nudge goes."""

    GRADIENT = "gradient"
    THROUGH_DENOISER = "through_denoiser"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class NudgeParams:
    """How to nudge.

    Attributes:
        window: share of the run in which it happens, both ends in [0, 1]. A run with no step in it is
            nudged once, at the step nearest to its middle.
        strength: size of the change as a multiple of the region's own RMS, at the window's start and
            end; in between it falls geometrically. Much smaller ones the denoiser takes back.
        copies: views of the region from which the gradient is averaged: the plain one and jittered ones.
        jitter: how far those are moved and scaled, as a share of the crop.
        presence_weight: price of a part that is less surely there than before the first nudge. It forbids
            blurring it away. Without effect for a detector that knows no presence.
        clip: largest change of a cell, as a multiple of the RMS change.
        context: side of the decoded crop as a multiple of the region's longer side.
        direction: the gradient, or a control.
    """

    window: tuple[float, float] = (0.2, 0.7)
    strength: tuple[float, float] = (0.2, 0.05)
    copies: int = 3
    jitter: float = 0.04
    presence_weight: float = 1.0
    clip: float = 3.0
    context: float = 2.5
    direction: Direction = Direction.GRADIENT

    def __post_init__(self) -> None:
        if not 0.0 <= self.window[0] <= self.window[1] <= 1.0:
            raise ValueError(f"window must rise within [0, 1], not {self.window}")
        if min(self.strength) <= 0.0 or self.copies < 1 or self.clip <= 0.0 or self.context < 1.0:
            raise ValueError("strength and clip must be above 0, copies and context 1 or more")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the places that were found are repaired. Whatever is left out restricts nothing.

    Attributes:
        max_conf: highest detector score, in (0, 1]; the lowest is ``RepairParams.conf``.
        min_area: least area of a box, as a share of the picture.
        max_area: largest area of a box, as a share of the picture.
        order: which come first.
        only: numbers of the regions to repair, as a dry run lists them from 0; all when empty.
        skip: numbers of those to leave alone.
    """

    max_conf: float = 1.0
    min_area: float = 0.0
    max_area: float = 1.0
    order: Order = Order.SCORE
    only: tuple[int, ...] = ()
    skip: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskShape:
    """From what found a defect to what is redrawn.

    Attributes:
        source: the box, or the hot places of the heat map in it; the box where nothing in it is hot.
        threshold: least heat that counts, in (0, 1].
        least_share: a hot place smaller than this share of the largest one is dropped, in [0, 1].
    """

    source: MaskSource = MaskSource.BOX
    threshold: float = 0.4
    least_share: float = 0.1


STRENGTHS, SEEDS_PER_ATTEMPT = (0.4, 0.55, 0.75, 1.0), 4
"""The ladder where neither a request nor the redrawing model says another."""


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """How one class or one region is repaired otherwise than the rest. ``None`` means as the rest.

    Attributes:
        methods: see ``RepairParams``, as the next four.
        fill: whether the part is painted over with what surrounds it before it is redrawn; where nothing
            says, a malformed limb is from a strength of 0.75 on.
        prompt: in place of the picture's own.
        negative_prompt: in place of the picture's own.
    """

    methods: tuple[Method, ...] | None = None
    strengths: tuple[float, ...] | None = None
    seeds_per_attempt: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    fill: bool | None = None
    prompt: str | None = None
    negative_prompt: str | None = None

    def over(self, others: Self) -> Self:
        """These, and the others' where these say nothing."""
        pairs = ((f.name, getattr(self, f.name), getattr(others, f.name)) for f in fields(self))
        merged: dict[str, Any] = {name: theirs if own is None else own for name, own, theirs in pairs}
        return type(self)(**merged)


@dataclass(frozen=True, slots=True)
class RepairParams:
    """How to repair. ``None`` means the default stored with the model in use.

    Attributes:
        conf: least detector score of a defect, in (0, 1).
        classes: class names to repair; all malformed ones when empty.
        max_regions: at most so many regions, the first in the order of ``choice``; all that is painted is
            redrawn, whatever this says.
        strengths: the ladder, each in (0, 1], tried in order; in generated pictures the redrawing model's own
            for the part, if any, else ``STRENGTHS``.
        seeds_per_attempt: candidates redrawn in one batch on each rung; likewise, else ``SEEDS_PER_ATTEMPT``.
        grow: how far the box is grown on each side, as a share of its diagonal.
        feather_px: width of the soft edge of the composite mask, in image pixels.
        policy: redraw what is malformed, or every part that is found.
        methods: ways of drawing, in the order in which they are tried; each climbs all strengths.
        num_inference_steps: of redrawing at full strength.
        guidance_scale: of redrawing.
        merge_iou: boxes of one part that overlap so much or more become one region.
        choice: which of the regions are repaired.
        mask: what of each region is redrawn.
        nudge: how the method ``nudge`` bends.
        per_class: what is done otherwise for a class, by its name, its part's name, or ``mask``.
        per_region: the same for one region, by its number as a dry run lists it; it goes before the class.
        in_order: the same by place, for who cannot know how many regions there will be: the first for
            region 0 and so on, the last for all that follow; None leaves a region alone. Between the two.
    """

    conf: float | None = None
    classes: tuple[str, ...] = ()
    max_regions: int = 8
    strengths: tuple[float, ...] | None = None
    seeds_per_attempt: int | None = None
    grow: float = 0.1
    feather_px: int = 6
    policy: Policy = Policy.MALFORMED
    methods: tuple[Method, ...] = (Method.REDRAW,)
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    merge_iou: float = 0.5
    choice: Choice = Choice()
    mask: MaskShape = MaskShape()
    nudge: NudgeParams = NudgeParams()
    per_class: Mapping[str, RegionSettings] = field(default_factory=dict)
    per_region: Mapping[int, RegionSettings] = field(default_factory=dict)
    in_order: tuple[RegionSettings | None, ...] = ()

    @property
    def may_nudge(self) -> bool:
        """Whether any region may be nudged."""
        return any(
            Method.NUDGE in methods for methods in (self.methods, *(s.methods or () for s in self.special))
        )

    @property
    def special(self) -> tuple[RegionSettings, ...]:
        """All settings for single classes and regions."""
        ordered = (settings for settings in self.in_order if settings is not None)
        return (*self.per_class.values(), *self.per_region.values(), *ordered)

    def at_place(self, number: int) -> RegionSettings | None:
        """What ``in_order`` says of the region of this number; None if it is to be left alone."""
        return self.in_order[min(number, len(self.in_order) - 1)] if self.in_order else RegionSettings()

    @property
    def needs_gradient(self) -> bool:
        """Whether the detector must be able to say where its score comes from."""
        return self.may_nudge or self.mask.source is MaskSource.HEATMAP
