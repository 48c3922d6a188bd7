"""What a request costs in megapixel steps: pixels times denoising steps, guessed before the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.params import SEEDS_PER_ATTEMPT, STRENGTHS
from service.runs import BACK_SHARE, FRACTIONS
from service.wire.bodies import GenerateBody, RepairJobBody

Models = Sequence[Mapping[str, Any]]

_MEGA = 1e6
_GUESSED_REGIONS = 2
_UNKNOWN_PX, _UNKNOWN_STEPS = 512, 30


def cost_of_generate(body: GenerateBody, models: Models) -> float:
    """Of making the pictures, with all the restarts that may be needed; repairs are not foreseen."""
    height, width, steps = _native(models)
    pixels = (body.height or height) * (body.width or width)
    return pixels * (body.num_inference_steps or steps) * body.num_images * _runs(body) / _MEGA


def cost_of_repair(body: RepairJobBody, models: Models) -> float:
    """Of two regions redrawn at every strength in every way, at the model's size, whatever theirs."""
    height, width, steps = _native(models, "inpainter")
    if body.dry_run:
        return height * width / _MEGA
    rungs = (
        sum(body.strengths or STRENGTHS)
        * (body.seeds_per_attempt or SEEDS_PER_ATTEMPT)
        * min(body.max_regions, _GUESSED_REGIONS)
    )
    return height * width * steps * rungs * len(set(body.methods)) / _MEGA


def cost_of_detect(size_hw: Sequence[int]) -> float:
    """Of one look."""
    return size_hw[0] * size_hw[1] / _MEGA


def _runs(body: GenerateBody) -> float:
    """How many whole runs one picture takes at most: a stopped one ends at the last look."""
    watch = body.watch_params()
    if watch is None:
        return body.best_of
    restarts = watch.max_restarts if watch.stop else 0
    again = BACK_SHARE * (body.best_of + restarts) if watch.in_flight else 0.0
    return body.best_of + restarts * max(watch.fractions or FRACTIONS) + again


def _native(models: Models, role: str = "generator") -> tuple[int, int, int]:
    """Height, width and steps of the model in that role, or of the generator where there is none."""
    cards = {str(card.get("role")): card for card in models}
    card = cards.get(role) or cards.get("generator", {})
    height, width = card.get("native_size_hw") or (_UNKNOWN_PX, _UNKNOWN_PX)
    return height, width, int(card.get("defaults", {}).get("num_inference_steps", _UNKNOWN_STEPS))
