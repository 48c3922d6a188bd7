"""Requests to the engine, as frozen records."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Le

from detectors.detections import Image, Mask
from service.core.constraints import check_fields
from service.core.errors import InvalidRequest
from service.core.limits import MAX_BEST_OF, MAX_IMAGES, MAX_PROMPT_CHARS, MAX_SEED
from service.core.params import Guidance, PromptText, RepairParams, Steps, WatchParams

SEED_BITS = 32
Seed = Annotated[int, Ge(0), Le(MAX_SEED)]
ImageCount = Annotated[int, Ge(1), Le(MAX_IMAGES)]
CandidateCount = Annotated[int, Ge(1), Le(MAX_BEST_OF)]


def new_seed() -> int:
    """Chooses a seed for a request that names none."""
    return secrets.randbits(SEED_BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """A request to generate pictures. Sizes and steps of None mean the model's own defaults.

    Attributes:
        repair: repair parameters; if None, the pictures are only inspected.
        best_of: number of candidates for each picture; the best one is kept.
        watch: parameters of the watch; None for no watch.
    """

    prompt: PromptText
    negative_prompt: PromptText = ""
    seed: Seed | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: Steps | None = None
    guidance_scale: Guidance | None = None
    num_images: ImageCount = 1
    repair: RepairParams | None = field(default_factory=RepairParams)
    best_of: CandidateCount = 1
    watch: WatchParams | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise InvalidRequest(
                "the prompt is empty", code="empty_prompt", allowed=f"1 to {MAX_PROMPT_CHARS} characters"
            )
        check_fields(self)

    @property
    def seeds_per_image(self) -> int:
        """Number of consecutive seeds that belong to each picture, so that no two pictures share one.

        Picture ``i`` takes them from ``seed + i * seeds_per_image`` on: its candidates first, then restarts.
        """
        watch = self.watch
        return self.best_of + (watch.max_restarts if watch is not None and watch.stop else 0)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RepairRequest:
    """A request to inspect and repair a picture.

    Attributes:
        image: uint8 RGB (H, W, 3).
        mask: float32 (H, W) in [0, 1], 1 = repaint; the detector is then not used to find regions.
        dry_run: True to plan only, without any change.
    """

    image: Image
    prompt: PromptText = ""
    negative_prompt: PromptText = ""
    seed: Seed | None = None
    params: RepairParams = field(default_factory=RepairParams)
    mask: Mask | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
