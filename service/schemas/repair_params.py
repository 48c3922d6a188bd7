"""How to repair, as a request says it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from service.core.params import (
    SEEDS_PER_ATTEMPT,
    STRENGTHS,
    Choice,
    MaskShape,
    MaskSource,
    Method,
    NudgeParams,
    Order,
    Policy,
    RegionSettings,
    RepairParams,
)
from service.core.validation import (
    MAX_COPIES,
    MAX_FEATHER_PX,
    MAX_GUIDANCE,
    MAX_PROMPT_CHARS,
    MAX_REGIONS,
    MAX_SEEDS_PER_ATTEMPT,
    MAX_STEPS,
    MAX_STRENGTHS,
)

_DEFAULT = RepairParams()

OptionalPrompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT_CHARS)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Strength = Annotated[float, Field(gt=0, le=1)]
Strengths = Annotated[list[Strength], Field(min_length=1, max_length=MAX_STRENGTHS)]
Methods = Annotated[list[Method], Field(min_length=1, max_length=len(Method))]
Seeds = Annotated[int, Field(ge=1, le=MAX_SEEDS_PER_ATTEMPT)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Guidance = Annotated[float, Field(ge=0, le=MAX_GUIDANCE)]
Conf = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0, lt=MAX_REGIONS)]


class Body(BaseModel):
    """What comes in: an unknown name is an error, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NudgeBody(Body):
    """How the method ``nudge`` bends."""

    window: tuple[Share, Share] = Field(
        _DEFAULT.nudge.window, description="Share of the run in which it happens, from and to."
    )
    strength: tuple[Strength, Strength] = Field(
        _DEFAULT.nudge.strength,
        description="Size of the change as a multiple of the region's own, at the window's start and end.",
    )
    copies: int = Field(
        _DEFAULT.nudge.copies, ge=1, le=MAX_COPIES, description="Views that the gradient is averaged over."
    )
    presence_weight: float = Field(
        _DEFAULT.nudge.presence_weight, ge=0, le=100, description="Price of a part that fades."
    )

    @model_validator(mode="after")
    def _window_rises(self) -> Self:
        if self.window[0] > self.window[1]:
            raise ValueError("the window must rise")
        return self

    def to_params(self) -> NudgeParams:
        """The same, as the engine takes it."""
        return NudgeParams(self.window, self.strength, self.copies, presence_weight=self.presence_weight)


class SettingsBody(Body):
    """What is done otherwise for one class or one region; as for the rest where it is left out."""

    methods: Methods | None = None
    strengths: Strengths | None = None
    seeds_per_attempt: Seeds | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    fill: bool | None = Field(
        None,
        description="Whether to paint the part over first; if left out a malformed limb is from 0.75 on.",
    )
    prompt: OptionalPrompt | None = Field(None, description="In place of the picture's own.")
    negative_prompt: OptionalPrompt | None = Field(None, description="In place of the picture's own.")

    def to_settings(self) -> RegionSettings:
        """The same, as the engine takes it."""
        return RegionSettings(
            methods=None if self.methods is None else tuple(self.methods),
            strengths=None if self.strengths is None else tuple(self.strengths),
            seeds_per_attempt=self.seeds_per_attempt,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            fill=self.fill,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
        )


class NumberedSettingsBody(SettingsBody):
    """The same for one region."""

    region: Number = Field(description="Its number, as a dry run lists it from 0.")


class RepairBody(Body):
    """How to repair."""

    conf: Conf | None = Field(None, description="Least score of a defect; the model's own if left out.")
    max_conf: float = Field(_DEFAULT.choice.max_conf, gt=0, le=1, description="Highest score of a defect.")
    classes: list[ClassName] = Field(
        [], max_length=64, description="Class names to repair; all malformed ones if empty."
    )
    policy: Policy = Field(_DEFAULT.policy, description="Redraw what is malformed, or every part found.")
    min_area: Share = Field(
        _DEFAULT.choice.min_area, description="Least area of a box, as a share of the picture."
    )
    max_area: Share = Field(
        _DEFAULT.choice.max_area, description="Largest area of a box, as a share of the picture."
    )
    order: Order = Field(_DEFAULT.choice.order, description="Which regions come first.")
    max_regions: int = Field(
        _DEFAULT.max_regions,
        ge=1,
        le=MAX_REGIONS,
        description="At most so many of the regions that are found, the first in order. What a mask paints "
        f"is redrawn whatever this says, up to {MAX_REGIONS} areas.",
    )
    only: list[Number] = Field(
        [], max_length=MAX_REGIONS, description="Numbers of the regions to repair, as a dry run lists them."
    )
    skip: list[Number] = Field([], max_length=MAX_REGIONS, description="Numbers of those to leave alone.")
    merge_iou: float = Field(
        _DEFAULT.merge_iou, gt=0, le=1, description="Boxes of one part that overlap so much are one region."
    )
    methods: Methods = Field(
        list(_DEFAULT.methods), description="Ways of drawing; each climbs all strengths before the next."
    )
    strengths: Strengths | None = Field(
        None,
        description="The ladder, tried in order; in generated pictures the model's own for the part, if "
        f"any, else {', '.join(f'{strength:g}' for strength in STRENGTHS)}.",
    )
    seeds_per_attempt: Seeds | None = Field(
        None,
        description="Candidates redrawn at once on each rung; likewise the model's own, else "
        f"{SEEDS_PER_ATTEMPT}.",
    )
    num_inference_steps: Steps | None = Field(
        None, description="Of redrawing at full strength; the model's own if left out."
    )
    guidance_scale: Guidance | None = Field(None, description="Of redrawing; the model's own if left out.")
    grow: Share = Field(_DEFAULT.grow, description="How far a box is grown, as a share of its diagonal.")
    feather_px: int = Field(
        _DEFAULT.feather_px, ge=0, le=MAX_FEATHER_PX, description="Width of the mask's soft edge."
    )
    mask_source: MaskSource = Field(
        _DEFAULT.mask.source,
        description="Redraw the box, or what of it is hot in the heat map (the box where nothing is).",
    )
    mask_threshold: Strength = Field(_DEFAULT.mask.threshold, description="Least heat that counts.")
    mask_least_share: Share = Field(
        _DEFAULT.mask.least_share, description="Hot places below this share of the largest are dropped."
    )
    nudge: NudgeBody = Field(NudgeBody(), description="How the method `nudge` bends.")
    per_class: dict[ClassName, SettingsBody] = Field(
        {},
        max_length=16,
        description="What is done otherwise for a class, by its name, its part's, or `mask`.",
    )
    per_region: list[NumberedSettingsBody] = Field(
        [], max_length=MAX_REGIONS, description="The same for single regions; it goes before the class."
    )
    in_order: list[SettingsBody | None] = Field(
        [],
        max_length=MAX_REGIONS,
        description="The same by place, where nobody can know how many there will be: the first for region 0 "
        "and so on, the last for all that follow; null leaves a region alone. Between class and region.",
    )

    @field_validator("per_region")
    @classmethod
    def _each_region_once(cls, settings: list[NumberedSettingsBody]) -> list[NumberedSettingsBody]:
        twice = [n for n, count in Counter(body.region for body in settings).items() if count > 1]
        if twice:
            raise ValueError(f"region {twice[0]} stands there twice")
        return settings

    def to_params(self) -> RepairParams:
        """The same, as the engine takes it."""
        return RepairParams(
            conf=self.conf,
            classes=tuple(self.classes),
            max_regions=self.max_regions,
            strengths=None if self.strengths is None else tuple(self.strengths),
            seeds_per_attempt=self.seeds_per_attempt,
            grow=self.grow,
            feather_px=self.feather_px,
            policy=self.policy,
            methods=tuple(self.methods),
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            merge_iou=self.merge_iou,
            choice=self._choice(),
            mask=MaskShape(self.mask_source, self.mask_threshold, self.mask_least_share),
            nudge=self.nudge.to_params(),
            per_class={name: body.to_settings() for name, body in self.per_class.items()},
            per_region={body.region: body.to_settings() for body in self.per_region},
            in_order=tuple(None if body is None else body.to_settings() for body in self.in_order),
        )

    def _choice(self) -> Choice:
        return Choice(
            max_conf=self.max_conf,
            min_area=self.min_area,
            max_area=self.max_area,
            order=self.order,
            only=tuple(self.only),
            skip=tuple(self.skip),
        )
