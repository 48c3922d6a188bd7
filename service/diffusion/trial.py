"""A tiny run of a model that was just loaded: what cannot make a picture is found before anybody waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from service.core.errors import ModelUnavailable
from service.diffusion.calls import networks_of
from service.diffusion.memory_budget import largest_activation
from service.diffusion.model import DiffusionModel

CELLS, STEPS = 8, 2
"""The smallest size that no family refuses, and the fewest steps that look at one after the first."""


def try_out(model: DiffusionModel, redraws: bool = True) -> None:
    """Makes a picture and redraws half of it; notes in the model how much memory a pixel takes.

    No later run draws other noise for it.

    Args:
        model: just loaded.
        redraws: whether it is to redraw; not every scheduler can, and where another model does, need not.

    Raises:
        ModelUnavailable: if it cannot, saying what was raised.
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
