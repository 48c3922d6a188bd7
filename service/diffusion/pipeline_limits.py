"""What a diffusers pipeline can be asked for."""

from __future__ import annotations

import inspect
import math
from typing import Any

from service.core.model_limits import ModelLimits


def limits_of(pipeline: Any) -> ModelLimits:
    """The sizes and steps that a pipeline takes."""
    scheduler = pipeline.scheduler
    return ModelLimits(
        size_step_px=size_step_px(pipeline),
        min_steps=fewest_steps(scheduler),
        max_steps=most_steps(scheduler),
    )


def size_step_px(pipeline: Any) -> int:
    """What sides are multiples of, in pixels: latent cells or, for a transformer, patches of them."""
    patch = 2 if hasattr(pipeline, "_pack_latents") else getattr(pipeline, "patch_size", 1)
    return math.lcm(ModelLimits().size_step_px, int(pipeline.vae_scale_factor) * int(patch))


def fewest_steps(scheduler: Any) -> int:
    """Fewest steps that a scheduler can run: a Runge-Kutta start needs as many as its order."""
    is_slow_start = not scheduler.config.get("skip_prk_steps", True)
    return int(scheduler.pndm_order) if is_slow_start else 1


def most_steps(scheduler: Any) -> int | None:
    """Most steps that a scheduler can run; None if it sets no limit.

    Those of consistency models pick theirs out of the few that the model was distilled for.
    """
    known = inspect.signature(scheduler.set_timesteps).parameters
    return int(scheduler.config.original_inference_steps) if "original_inference_steps" in known else None
