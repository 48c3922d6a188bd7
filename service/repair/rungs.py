"""What is tried for one region: the wishes for it, for its class, for all, and then the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from detectors.body_parts import part_of
from service.core.params import SEEDS_PER_ATTEMPT, STRENGTHS, Method, RegionSettings, RepairParams
from service.core.regions import Region
from service.repair.prompts import Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One batch of candidates.

    Attributes:
        method: how they are drawn.
        strength: in (0, 1].
        seeds: how many there are.
        num_inference_steps: of redrawing at full strength; the model's own if None.
        guidance_scale: the model's own if None.
        fill: whether the part is painted over first; see ``redraw.starts_from_fill`` if None.
    """

    method: Method
    strength: float
    seeds: int
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    fill: bool | None = None


def settings_of(
    region: Region, params: RepairParams, own: Mapping[str, RegionSettings] = MappingProxyType({})
) -> RegionSettings:
    """How this region is repaired: its own settings go before its class's, its part's and the rest's.

    Args:
        region: what is repaired.
        params: the request's wishes.
        own: the redrawing model's settings by class or part, for what the request leaves open. Its steps and
            fill are for its own strengths: where the request names others, the usual ones are taken.
    """
    settings = RegionSettings(
        methods=params.methods,
        strengths=params.strengths,
        seeds_per_attempt=params.seeds_per_attempt,
        num_inference_steps=params.num_inference_steps,
        guidance_scale=params.guidance_scale,
    )
    left_open = RegionSettings()
    for name in (part_of(region.class_name), region.class_name):
        settings = params.per_class.get(name, RegionSettings()).over(settings)
        left_open = own.get(name, RegionSettings()).over(left_open)
    settings = (params.at_place(region.number) or RegionSettings()).over(settings)
    wished = params.of_region(region.number).over(settings)
    if wished.strengths is not None:  # the model's steps and fill are those that suit its own strengths
        left_open = replace(left_open, num_inference_steps=None, fill=None)
    return wished.over(left_open)


def rungs_of(
    region: Region, params: RepairParams, own: Mapping[str, RegionSettings] = MappingProxyType({})
) -> tuple[Rung, ...]:
    """The whole ladder of a region: each method climbs all strengths before the next one does."""
    settings = settings_of(region, params, own)
    return tuple(
        Rung(
            method=method,
            strength=strength,
            seeds=settings.seeds_per_attempt or SEEDS_PER_ATTEMPT,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            fill=settings.fill,
        )
        for method in settings.methods or params.methods
        for strength in settings.strengths or STRENGTHS
    )


def region_prompts(region: Region, params: RepairParams, prompts: Prompts) -> Prompts:
    """The picture's wording, or what was set in its place for the region or its class."""
    settings = settings_of(region, params)
    return Prompts(
        prompts.prompt if settings.prompt is None else settings.prompt,
        prompts.negative_prompt if settings.negative_prompt is None else settings.negative_prompt,
    )
