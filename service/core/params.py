"""The repair parameters, each declared once with its type, limits, default and description.

The HTTP schema and its checks, the options of the command line and their help are generated from these
declarations; a test compares the client's types with them. Plain values: no model, no torch, no pydantic.
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
    """The choice of parts to redraw."""

    MALFORMED = "malformed"
    EVERY = "every"


class Order(StrEnum):
    """The order of regions; the last ones are left out if there are too many."""

    SCORE = "score"
    AREA = "area"
    LEFT_TO_RIGHT = "left_to_right"


class Method(StrEnum):
    """Names of the repair methods (``service.repair.methods``)."""

    REDRAW = "redraw"
    NUDGE = "nudge"


class MaskSource(StrEnum):
    """The redrawn area of a region: its box, or the pixels that the detector's score comes from."""

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
"""The default ladder, used where neither the request nor the redrawing model sets another."""

STRICT: Mapping[str, object] = {"extra": "forbid", "allow_inf_nan": False, "str_strip_whitespace": True}
"""Configuration for pydantic, at the edges: unknown names, NaN and infinity are errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeParams:
    """Parameters of the method ``nudge``."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    window: Annotated[
        tuple[Share, Share],
        Doc(
            "Start and end of the nudging, as shares of the run. A run without a step in this window is "
            "nudged once, at the step nearest to the middle of the window."
        ),
    ] = (0.2, 0.7)
    strength: Annotated[
        tuple[PositiveShare, PositiveShare],
        Doc(
            "Size of the change as a multiple of the region's own RMS, at the start and end of the window; "
            "in between it falls geometrically. The denoiser undoes much smaller changes."
        ),
    ] = (0.2, 0.05)
    copies: Annotated[
        int,
        Ge(1),
        Le(MAX_COPIES),
        Doc("Number of views that the gradient is averaged over: the plain one and jittered ones."),
    ] = 3
    presence_weight: Annotated[
        float,
        Ge(0),
        Le(100),
        Doc(
            "Weight of the penalty for a part whose presence becomes less certain. No effect with a detector "
            "that does not score presence."
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.window[0] > self.window[1]:
            raise ValueError(f"the window must rise, not {self.window}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionSettings:
    """Settings for one class or one region; a setting left out is that of the whole request."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    methods: Methods | None = None
    strengths: Strengths | None = None
    seeds_per_attempt: Seeds | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    fill: Annotated[
        bool | None,
        Doc(
            "Whether to paint the part over first; if left out, malformed limbs are, at strengths from 0.75."
        ),
    ] = None
    prompt: Annotated[PromptText | None, Doc("Used in place of the picture's own.")] = None
    negative_prompt: Annotated[PromptText | None, Doc("Used in place of the picture's own.")] = None

    def __post_init__(self) -> None:
        check_fields(self)

    def over(self, others: RegionSettings) -> RegionSettings:
        """Returns these settings, completed by the others where these are None."""
        pairs = ((f.name, getattr(self, f.name), getattr(others, f.name)) for f in fields(RegionSettings))
        merged: dict[str, Any] = {name: theirs if own is None else own for name, own, theirs in pairs}
        return RegionSettings(**merged)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedRegionSettings(RegionSettings):
    """Settings for one region, given by its number."""

    region: Annotated[RegionNumber, Doc("Number of the region, as listed by a dry run, from 0.")]


def _each_region_once(settings: Sequence[NumberedRegionSettings]) -> bool:
    twice = [n for n, count in Counter(s.region for s in settings).items() if count > 1]
    if twice:
        raise ValueError(f"region {twice[0]} stands there twice")
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairParams:
    """Parameters of a repair. ``None`` means the default stored with the model in use."""

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
            "Largest number of regions to repair, the first in the order. It does not apply to a painted "
            f"mask, of which up to {MAX_REGIONS} areas are redrawn."
        ),
    ] = 8
    only: Annotated[RegionNumbers, Doc("Numbers of the regions to repair, as a dry run lists them.")] = ()
    skip: Annotated[RegionNumbers, Doc("Numbers of the regions to leave alone.")] = ()
    merge_iou: Annotated[PositiveShare, Doc("Boxes of one part that overlap so much are one region.")] = 0.5
    methods: Annotated[Methods, Doc("Repair methods; each is tried at all strengths before the next.")] = (
        Method.REDRAW,
    )
    strengths: Annotated[
        Strengths | None,
        Doc(
            "The strengths to try, in order. Default: in generated pictures the model's own for the part, "
            f"else {', '.join(f'{strength:g}' for strength in STRENGTHS)}."
        ),
    ] = None
    seeds_per_attempt: Annotated[
        Seeds | None,
        Doc(f"Candidates redrawn for each strength. Default: the model's own, else {SEEDS_PER_ATTEMPT}."),
    ] = None
    num_inference_steps: Annotated[
        Steps | None, Doc("Steps of redrawing at full strength; the model's own if left out.")
    ] = None
    guidance_scale: Annotated[Guidance | None, Doc("Guidance of redrawing; the model's own if left out.")] = (
        None
    )
    grow: Annotated[Share, Doc("Growth of a box on each side, as a share of its diagonal.")] = 0.1
    feather_px: Annotated[int, Ge(0), Le(MAX_FEATHER_PX), Doc("Width of the mask's soft edge.")] = 6
    mask_source: Annotated[
        MaskSource,
        Doc("Redraw the box, or only its hot part in the heat map (the box if nothing is hot)."),
    ] = MaskSource.BOX
    mask_threshold: Annotated[PositiveShare, Doc("Least heat that counts.")] = 0.4
    mask_least_share: Annotated[Share, Doc("Hot places below this share of the largest are dropped.")] = 0.1
    nudge: Annotated[NudgeParams, Doc("Parameters of the method `nudge`.")] = NudgeParams()
    per_class: Annotated[
        Mapping[ClassName, RegionSettings],
        Len(0, 16),
        Doc("Settings for a class, by the name of the class or of its part, or `mask`."),
    ] = field(default_factory=dict)
    per_region: Annotated[
        tuple[NumberedRegionSettings, ...],
        Len(0, MAX_REGIONS),
        Predicate(_each_region_once),
        Doc("Settings for single regions; they override those of the class."),
    ] = ()
    in_order: Annotated[
        tuple[RegionSettings | None, ...],
        Len(0, MAX_REGIONS),
        Doc(
            "Settings by the region's number, for an unknown number of regions: the first for region 0 and "
            "so on, the last for all that follow; null leaves a region alone. They override the class; "
            "`per_region` overrides them."
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
        """Returns the settings of ``per_region`` for the region with this number."""
        return next((s for s in self.per_region if s.region == number), RegionSettings())

    def at_place(self, number: int) -> RegionSettings | None:
        """Returns the settings of ``in_order`` for the region with this number; None if it is left alone."""
        return self.in_order[min(number, len(self.in_order) - 1)] if self.in_order else RegionSettings()

    @property
    def may_nudge(self) -> bool:
        """True if any region may be nudged."""
        named = (self.methods, *(settings.methods or () for settings in self.settings))
        return any(Method.NUDGE in methods for methods in named)

    @property
    def needs_gradient(self) -> bool:
        """True if the detector's score must be differentiable."""
        return self.may_nudge or self.mask_source is MaskSource.HEATMAP


WATCH_FRACTIONS = (0.3, 0.5, 0.7)
"""Default shares of a run at which previews are inspected, without a fitted watch."""

Fraction = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchParams:
    """Parameters of the watch, which inspects a picture during its generation."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = STRICT

    fractions: Annotated[
        Annotated[tuple[Fraction, ...], Len(1, MAX_FRACTIONS)] | None,
        Doc(
            "Shares of the run at which previews are inspected; if left out, those that the watch was "
            "fitted for. Short runs are inspected less often."
        ),
    ] = None
    stop: Annotated[bool, Doc("Whether to stop hopeless runs, or only to report them.")] = True
    max_restarts: Annotated[
        int,
        Ge(0),
        Le(MAX_RESTARTS),
        Doc("Number of further seeds to try while all runs were stopped; the last run is always finished."),
    ] = 3
    in_flight: Annotated[
        bool, Doc("Whether a single small malformed place is sampled again first, from some steps back.")
    ] = False

    def __post_init__(self) -> None:
        check_fields(self)
