"""Sizes and steps that a diffusers pipeline supports."""

from __future__ import annotations

import inspect
import math
from typing import Any

from service.core.model_limits import ModelLimits


def limits_of(pipeline: Any) -> ModelLimits:
    """Returns the sizes and steps that a pipeline supports."""
    scheduler = pipeline.scheduler
    return ModelLimits(
        size_step_px=size_step_px(pipeline),
        min_steps=fewest_steps(scheduler),
        max_steps=most_steps(scheduler),
    )


def size_step_px(pipeline: Any) -> int:
    """Returns the unit of width and height in pixels: a latent cell or, in transformers, a patch of cells."""
    patch = 2 if hasattr(pipeline, "_pack_latents") else getattr(pipeline, "patch_size", 1)
    return math.lcm(ModelLimits().size_step_px, int(pipeline.vae_scale_factor) * int(patch))


def fewest_steps(scheduler: Any) -> int:
    """Returns the least number of steps of a scheduler: a Runge-Kutta start needs as many as its order."""
    is_slow_start = not scheduler.config.get("skip_prk_steps", True)
    return int(scheduler.pndm_order) if is_slow_start else 1


def most_steps(scheduler: Any) -> int | None:
    """Returns the largest number of steps of a scheduler; None if it sets no limit.

    Schedulers of consistency models select their steps from the few that the model was distilled for.
    """
    known = inspect.signature(scheduler.set_timesteps).parameters
    return int(scheduler.config.original_inference_steps) if "original_inference_steps" in known else None
