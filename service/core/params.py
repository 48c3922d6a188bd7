"""How to repair: each parameter declared once, with its type, limits, default and text.

The HTTP schema and its refusals, the options of the command line and their help are made from these declarations;
the client's types are held to them by a test. Plain values: no model, no torch, no pydantic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Len, Lt, Predicate

from service.core.constraints import Doc, check_fields, out_of_range
from service.core.limits import (
    MAX_COPIES,
    MAX_FEATHER_PX,
    MAX_FRACTIONS,
    MAX_GUIDANCE,
    MAX_PROMPT_CHARS,
    MAX_REGIONS,
    MAX_RESTARTS,
    MAX_SEEDS_PER_ATTEMPT,
    MAX_STEPS,
    MAX_STRENGTHS,
)


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
    """Names of the repair methods (``service.repair.methods``)."""

    REDRAW = "redraw"
    NUDGE = "nudge"


class MaskSource(StrEnum):
    """What of a region is redrawn: its box, or what the detector's score comes from."""

    BOX = "box"
    HEATMAP = "heatmap"


Conf = Annotated[float, Gt(0), Lt(1)]
Share = Annotated[float, Ge(0), Le(1)]
PositiveShare = Annotated[float, Gt(0), Le(1)]
ClassName = Annotated[str, Len(1, 64)]
PromptText = Annotated[str, Len(0, MAX_PROMPT_CHARS)]
Steps = Annotated[int, Ge(1), Le(MAX_STEPS)]
Guidance = Annotated[float, Ge(0), Le(MAX_GUIDANCE)]
Seeds = Annotated[int, Ge(1), Le(MAX_SEEDS_PER_ATTEMPT)]
Strengths = Annotated[tuple[PositiveShare, ...], Len(1, MAX_STRENGTHS)]
Methods = Annotated[tuple[Method, ...], Len(1, len(Method))]
RegionNumber = Annotated[int, Ge(0), Lt(MAX_REGIONS)]
RegionNumbers = Annotated[tuple[RegionNumber, ...], Len(0, MAX_REGIONS)]

STRENGTHS, SEEDS_PER_ATTEMPT = (0.4, 0.55, 0.75, 1.0), 4
"""The ladder where neither a request nor the redrawing model says another."""

STRICT: Mapping[str, object] = {"extra": "forbid", "allow_inf_nan": False, "str_strip_whitespace": True}
"""Read by pydantic at the edges: an unknown name is an error, and so is a number that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeParams:
    """How the method ``nudge`` steers."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    window: Annotated[
        tuple[Share, Share],
        Doc(
            "Share of the run in which it happens, from and to. A run with no step in it is nudged once, at the "
            "step nearest to its middle."
        ),
    ] = (0.2, 0.7)
    strength: Annotated[
        tuple[PositiveShare, PositiveShare],
        Doc(
            "Size of the change as a multiple of the region's own RMS, at the window's start and end; in between "
            "it falls geometrically. The denoiser takes back much smaller ones."
        ),
    ] = (0.2, 0.05)
    copies: Annotated[
        int,
        Ge(1),
        Le(MAX_COPIES),
        Doc("Views that the gradient is averaged over: the plain one and jittered ones."),
    ] = 3
    presence_weight: Annotated[
        float,
        Ge(0),
        Le(100),
        Doc(
            "Price of a part that is less surely there than before. Without effect for a detector that knows no presence."
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.window[0] > self.window[1]:
            raise ValueError(f"the window must rise, not {self.window}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSettings:
    """What is done otherwise for one class or one region; as for the rest where it is left out."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    methods: Methods | None = None
    strengths: Strengths | None = None
    seeds_per_attempt: Seeds | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    fill: Annotated[
        bool | None,
        Doc("Whether to paint the part over first; if left out a malformed limb is from 0.75 on."),
    ] = None
    prompt: Annotated[PromptText | None, Doc("In place of the picture's own.")] = None
    negative_prompt: Annotated[PromptText | None, Doc("In place of the picture's own.")] = None

    def __post_init__(self) -> None:
        check_fields(self)

    def over(self, others: RegionSettings) -> RegionSettings:
        """Returns these settings, and the others' where these say nothing."""
        pairs = ((f.name, getattr(self, f.name), getattr(others, f.name)) for f in fields(RegionSettings))
        merged: dict[str, Any] = {name: theirs if own is None else own for name, own, theirs in pairs}
        return RegionSettings(**merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedRegionSettings(RegionSettings):
    """The same for one region."""

    region: Annotated[RegionNumber, Doc("Its number, as a dry run lists it from 0.")]


def _each_region_once(settings: Sequence[NumberedRegionSettings]) -> bool:
    twice = [n for n, count in Counter(s.region for s in settings).items() if count > 1]
    if twice:
        raise ValueError(f"region {twice[0]} stands there twice")
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairParams:
    """How to repair. ``None`` means the default stored with the model in use."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    conf: Annotated[Conf | None, Doc("Least score of a defect; the model's own if left out.")] = None
    max_conf: Annotated[PositiveShare, Doc("Highest score of a defect.")] = 1.0
    classes: Annotated[
        tuple[ClassName, ...], Len(0, 64), Doc("Class names to repair; all malformed ones if empty.")
    ] = ()
    policy: Annotated[Policy, Doc("Redraw what is malformed, or every part found.")] = Policy.MALFORMED
    min_area: Annotated[Share, Doc("Least area of a box, as a share of the picture.")] = 0.0
    max_area: Annotated[Share, Doc("Largest area of a box, as a share of the picture.")] = 1.0
    order: Annotated[Order, Doc("Which regions come first.")] = Order.SCORE
    max_regions: Annotated[
        int,
        Ge(1),
        Le(MAX_REGIONS),
        Doc(
            "At most so many of the regions that are found, the first in order. What a mask paints is redrawn "
            f"whatever this says, up to {MAX_REGIONS} areas."
        ),
    ] = 8
    only: Annotated[RegionNumbers, Doc("Numbers of the regions to repair, as a dry run lists them.")] = ()
    skip: Annotated[RegionNumbers, Doc("Numbers of the regions to leave alone.")] = ()
    merge_iou: Annotated[PositiveShare, Doc("Boxes of one part that overlap so much are one region.")] = 0.5
    methods: Annotated[Methods, Doc("Ways of drawing; each climbs all strengths before the next.")] = (
        Method.REDRAW,
    )
    strengths: Annotated[
        Strengths | None,
        Doc(
            "The ladder, tried in order; in generated pictures the model's own for the part, if any, else "
            f"{', '.join(f'{strength:g}' for strength in STRENGTHS)}."
        ),
    ] = None
    seeds_per_attempt: Annotated[
        Seeds | None,
        Doc(f"Candidates redrawn at once on each rung; likewise the model's own, else {SEEDS_PER_ATTEMPT}."),
    ] = None
    num_inference_steps: Annotated[
        Steps | None, Doc("Steps of redrawing at full strength; the model's own if left out.")
    ] = None
    guidance_scale: Annotated[Guidance | None, Doc("Guidance of redrawing; the model's own if left out.")] = (
        None
    )
    grow: Annotated[Share, Doc("How far a box is grown, as a share of its diagonal.")] = 0.1
    feather_px: Annotated[int, Ge(0), Le(MAX_FEATHER_PX), Doc("Width of the mask's soft edge.")] = 6
    mask_source: Annotated[
        MaskSource,
        Doc("Redraw the box, or what of it is hot in the heat map (the box where nothing is)."),
    ] = MaskSource.BOX
    mask_threshold: Annotated[PositiveShare, Doc("Least heat that counts.")] = 0.4
    mask_least_share: Annotated[Share, Doc("Hot places below this share of the largest are dropped.")] = 0.1
    nudge: Annotated[NudgeParams, Doc("How the method `nudge` steers.")] = NudgeParams()
    per_class: Annotated[
        Mapping[ClassName, RegionSettings],
        Len(0, 16),
        Doc("What is done otherwise for a class, by its name, its part's, or `mask`."),
    ] = field(default_factory=dict)
    per_region: Annotated[
        tuple[NumberedRegionSettings, ...],
        Len(0, MAX_REGIONS),
        Predicate(_each_region_once),
        Doc("The same for single regions; it goes before the class."),
    ] = ()
    in_order: Annotated[
        tuple[RegionSettings | None, ...],
        Len(0, MAX_REGIONS),
        Doc(
            "The same by place, where nobody can know how many there will be: the first for region 0 and so on, the "
            "last for all that follow; null leaves a region alone. Between class and region."
        ),
    ] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.min_area > self.max_area:
            raise out_of_range("max_area", self.max_area, [self.min_area, 1.0])

    @property
    def settings(self) -> tuple[RegionSettings, ...]:
        """All settings for single classes and regions."""
        ordered = (settings for settings in self.in_order if settings is not None)
        return *self.per_class.values(), *self.per_region, *ordered

    def of_region(self, number: int) -> RegionSettings:
        """Returns what ``per_region`` says of the region of this number."""
        return next((s for s in self.per_region if s.region == number), RegionSettings())

    def at_place(self, number: int) -> RegionSettings | None:
        """Returns what ``in_order`` says of the region of this number; None if it is to be left alone."""
        return self.in_order[min(number, len(self.in_order) - 1)] if self.in_order else RegionSettings()

    @property
    def may_nudge(self) -> bool:
        """Whether any region may be nudged."""
        named = (self.methods, *(settings.methods or () for settings in self.settings))
        return any(Method.NUDGE in methods for methods in named)

    @property
    def needs_gradient(self) -> bool:
        """Whether the detector must be able to say where its score comes from."""
        return self.may_nudge or self.mask_source is MaskSource.HEATMAP


WATCH_FRACTIONS = (0.3, 0.5, 0.7)
"""Of a run, at which a watch looks that was not fitted."""

Fraction = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParams:
    """How a picture is watched while it is being made."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    fractions: Annotated[
        Annotated[tuple[Fraction, ...], Len(1, MAX_FRACTIONS)] | None,
        Doc(
            "Shares of the run at which to look; those that the watch was fitted for if left out. Short runs get "
            "fewer looks."
        ),
    ] = None
    stop: Annotated[bool, Doc("Whether to stop hopeless runs, or only to tell.")] = True
    max_restarts: Annotated[
        int,
        Ge(0),
        Le(MAX_RESTARTS),
        Doc("So many more seeds while no run came through; the last one is finished in any case."),
    ] = 3
    in_flight: Annotated[
        bool, Doc("Whether one small malformed place is first sampled again, from some steps back.")
    ] = False

    def __post_init__(self) -> None:
        check_fields(self)
