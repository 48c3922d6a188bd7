"""Types of the named options, as in ``service.core.params``; the service has the defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from service.core.params import MaskSource, Method, Order, Policy


class NudgeOptions(TypedDict, total=False):
    """The options of the method ``nudge``."""

    window: tuple[float, float]
    strength: tuple[float, float]
    copies: int
    presence_weight: float


class SettingsOptions(TypedDict, total=False):
    """The options that differ for one class."""

    methods: Sequence[Method]
    strengths: Sequence[float]
    seeds_per_attempt: int
    num_inference_steps: int
    guidance_scale: float
    fill: bool
    prompt: str
    negative_prompt: str


class NumberedSettingsOptions(SettingsOptions, total=False):
    """The options that differ for one region."""

    region: int


class RepairOptions(TypedDict, total=False):
    """The options of a repair."""

    conf: float
    max_conf: float
    classes: Sequence[str]
    policy: Policy
    min_area: float
    max_area: float
    order: Order
    max_regions: int
    only: Sequence[int]
    skip: Sequence[int]
    merge_iou: float
    methods: Sequence[Method]
    strengths: Sequence[float]
    seeds_per_attempt: int
    num_inference_steps: int
    guidance_scale: float
    grow: float
    feather_px: int
    mask_source: MaskSource
    mask_threshold: float
    mask_least_share: float
    nudge: NudgeOptions
    per_class: Mapping[str, SettingsOptions]
    per_region: Sequence[NumberedSettingsOptions]
    in_order: Sequence[SettingsOptions | None]


class UploadOptions(RepairOptions, total=False):
    """The options of the repair of an uploaded picture."""

    prompt: str
    negative_prompt: str
    seed: int


class WatchOptions(TypedDict, total=False):
    """The options of the checks of unfinished pictures."""

    fractions: Sequence[float]
    stop: bool
    max_restarts: int
    in_flight: bool


class GenerateOptions(TypedDict, total=False):
    """The options of a generation beside the prompt."""

    negative_prompt: str
    seed: int
    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float
    num_images: int
    best_of: int
    watch: bool | WatchOptions
    repair: bool | RepairOptions
