"""Estimated costs of requests in megapixel steps: pixels times denoising steps, in millions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import ceil
from typing import Any

from service.core.limits import MAX_REGIONS
from service.core.params import (
    SEEDS_PER_ATTEMPT,
    STRENGTHS,
    WATCH_FRACTIONS,
    Method,
    NudgeParams,
    RegionSettings,
    RepairParams,
)
from service.core.runs import BACK_SHARE
from service.schemas.requests import GenerateBody, RepairJob

Models = Sequence[Mapping[str, Any]]

_MEGA = 1e6
_FOUND_OF_ALLOWED = 1 / 4
"""The expected number of regions, of those that may be repaired."""
_PLAIN_LOOKS = 2
"""The number of detector calls of a nudged step beside its copies: before and after."""
_LOOK = 1 / 4
"""The cost of compositing, comparing and checking one pixel, in steps on it."""
_UNKNOWN_PX, _UNKNOWN_STEPS = 512, 30


def cost_of_generate(body: GenerateBody, models: Models) -> float:
    """Estimates the cost of making the pictures, with all restarts that may be needed.

    Usual repairs are not included, since most pictures need none; requested extra work is.
    """
    height, width, steps = _native(models)
    size_hw = body.height or height, body.width or width
    making = size_hw[0] * size_hw[1] * (body.num_inference_steps or steps) * _runs(body) / _MEGA
    wish = body.to_request().repair
    usual = _repairing(RepairParams(), models, size_hw)
    beyond = 0.0 if wish is None else max(_repairing(wish, models, size_hw) - usual, 0.0)
    return body.num_images * (making + beyond)


def cost_of_repair(
    body: RepairJob, models: Models, size_hw: tuple[int, int], areas: int | None = None
) -> float:
    """Estimates the cost of redrawing every region by every method and strength, and of the checks.

    Args:
        body: the repair parameters.
        models: the cards of the models.
        size_hw: height and width of the picture in pixels.
        areas: the number of painted areas in its mask; None without a mask.
    """
    if body.dry_run:
        height, width, _ = _native(models, "inpainter")
        return height * width / _MEGA
    return _repairing(body, models, size_hw, areas)


def cost_of_detect(size_hw: Sequence[int]) -> float:
    """Estimates the cost of one detector call."""
    return size_hw[0] * size_hw[1] / _MEGA


def _repairing(
    params: RepairParams, models: Models, size_hw: tuple[int, int], areas: int | None = None
) -> float:
    """Estimates the cost of the expected regions, each with the most expensive of the requested settings."""
    if areas is None:
        places = max(ceil(params.max_regions * _FOUND_OF_ALLOWED), 1)
    else:
        places = min(areas, MAX_REGIONS)
    usual = _settings_of(params)
    asked = [usual, *(settings.over(usual) for settings in params.settings)]
    return places * max(_one_place(settings, params.nudge, models, size_hw) for settings in asked)


def _one_place(
    settings: RegionSettings, nudge: NudgeParams, models: Models, size_hw: tuple[int, int]
) -> float:
    """Estimates the cost of all attempts on a region: steps at the model's size, checks at the window's."""
    height, width, own_steps = _native(models, "inpainter")
    strengths = settings.strengths or STRENGTHS
    steps = sum(strengths) * (settings.num_inference_steps or own_steps)
    window_px = min(size_hw) ** 2  # the largest possible one: the region is not known yet
    one_way = height * width * steps
    ways = sum(
        one_way * _times(method, nudge) + _LOOK * window_px * len(strengths) for method in _methods(settings)
    )
    return ways * (settings.seeds_per_attempt or SEEDS_PER_ATTEMPT) / _MEGA


def _times(method: Method, nudge: NudgeParams) -> float:
    """Returns the cost factor of nudged steps: each detector call on a prediction counts as another step."""
    if method is not Method.NUDGE:
        return 1.0
    return 1.0 + (nudge.window[1] - nudge.window[0]) * (_PLAIN_LOOKS + nudge.copies)


def _methods(settings: RegionSettings) -> Sequence[Method]:
    return tuple(dict.fromkeys(settings.methods or ()))


def _settings_of(params: RepairParams) -> RegionSettings:
    own = {field.name for field in fields(RepairParams)}
    return RegionSettings(
        **{field.name: getattr(params, field.name) for field in fields(RegionSettings) if field.name in own}
    )


def _runs(body: GenerateBody) -> float:
    """Returns the maximum number of whole runs for one picture: a stopped one ends at the last check."""
    watch = body.to_request().watch
    if watch is None:
        return body.best_of
    restarts = watch.max_restarts if watch.stop else 0
    again = BACK_SHARE * (body.best_of + restarts) if watch.in_flight else 0.0
    return body.best_of + restarts * max(watch.fractions or WATCH_FRACTIONS) + again


def _native(models: Models, role: str = "generator") -> tuple[int, int, int]:
    """Returns height, width and steps of the model in that role, or of the generator if there is none."""
    cards = {str(card.get("role")): card for card in models}
    card = cards.get(role) or cards.get("generator", {})
    height, width = card.get("native_size_hw") or (_UNKNOWN_PX, _UNKNOWN_PX)
    return height, width, int(card.get("defaults", {}).get("num_inference_steps", _UNKNOWN_STEPS))
