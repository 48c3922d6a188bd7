"""What may be asked for by name, as ``service.wire.schemas`` tells it; the rest is as the service has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from service.report import Policy


class RepairOptions(TypedDict, total=False):
    """How to repair."""

    conf: float
    classes: Sequence[str]
    max_regions: int
    strengths: Sequence[float]
    seeds_per_attempt: int
    grow: float
    feather_px: int
    policy: Policy


class UploadOptions(RepairOptions, total=False):
    """How to repair a picture that is sent."""

    prompt: str
    negative_prompt: str
    seed: int


class WatchOptions(TypedDict, total=False):
    """How to look while a picture is made."""

    fractions: Sequence[float]
    stop: bool
    max_restarts: int
    in_flight: bool


class GenerateOptions(TypedDict, total=False):
    """What to make beside the prompt."""

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
