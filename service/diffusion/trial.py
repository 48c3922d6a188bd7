"""A tiny test run of a newly loaded model, which finds broken models before the first request."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from service.core.errors import ModelUnavailable
from service.diffusion.calls import networks_of
from service.diffusion.memory_budget import largest_activation
from service.diffusion.model import DiffusionModel

CELLS, STEPS = 8, 2
"""Smallest size that all families support, and the least number of steps with one after the first."""


def try_out(model: DiffusionModel, redraws: bool = True) -> None:
    """Generates a picture and redraws half of it; stores the memory needs per pixel in the model.

    It does not change the global random state.

    Args:
        model: the newly loaded model.
        redraws: True to test redrawing too; not every scheduler supports it, nor does every model need it.

    Raises:
        ModelUnavailable: the run fails; the message holds the original error.
    """
    step = model.limits.size_step_px
    side = -(-CELLS * model.cell_px // step) * step
    asked: dict[str, Any] = {
        "prompt": "a hand",
        "negative_prompt": "",
        "num_inference_steps": max(STEPS, model.limits.min_steps),
        "guidance_scale": model.defaults.guidance_scale,
    }
    half = np.zeros((side, side), np.float32)
    half[: side // 2] = 1
    try:
        with torch.random.fork_rng(), largest_activation(networks_of(model.pipeline)) as meter:
            image = model.generate(seed=0, width=side, height=side, **asked)
            if redraws:
                model.inpaint(image, half, strength=1.0, seeds=[0], **asked)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            f"model {model.source!r}: {error.detail}", code=error.code, allowed=error.allowed
        ) from error
    except Exception as error:  # the library raises whatever its parts raise
        raise ModelUnavailable(
            f"model {model.source!r} was loaded but cannot make a picture: {type(error).__name__}: {error}",
            allowed="a model with all its parts, tokenizer included, that fit one another",
        ) from error
    model.bytes_per_px = meter.bytes / side**2
