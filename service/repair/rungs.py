"""The rungs for one region: its own settings, then its class's, the request's, and the model's."""

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
        method: the repair method.
        strength: strength in (0, 1].
        seeds: number of candidates.
        num_inference_steps: number of steps at full strength; the model's own if None.
        guidance_scale: guidance scale; the model's own if None.
        fill: True to fill the part from its surroundings first; see ``redraw.starts_from_fill`` if None.
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
    """Returns the settings of a region: its own override its class's, its part's and the request's.

    Args:
        region: the region to repair.
        params: parameters of the request.
        own: the redrawing model's settings by class or part, for values that the request leaves out. Its
            steps and fill belong to its own strengths; if the request sets strengths, they are ignored.
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
    if wished.strengths is not None:  # the model's steps and fill suit only its own strengths
        left_open = replace(left_open, num_inference_steps=None, fill=None)
    return wished.over(left_open)


def rungs_of(
    region: Region, params: RepairParams, own: Mapping[str, RegionSettings] = MappingProxyType({})
) -> tuple[Rung, ...]:
    """Returns the whole ladder of a region: each method is tried at all strengths before the next."""
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
    """Returns the region's or its class's prompts, where set; else the picture's."""
    settings = settings_of(region, params)
    return Prompts(
        prompts.prompt if settings.prompt is None else settings.prompt,
        prompts.negative_prompt if settings.negative_prompt is None else settings.negative_prompt,
    )
