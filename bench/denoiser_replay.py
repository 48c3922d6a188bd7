"""Asks the denoiser again, with a gradient this time. Slow: each question is a pass forwards and one back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from service.core.errors import ModelUnavailable
from service.diffusion.hooks import Step
from service.diffusion.latents import Packing
from service.diffusion.parameterization import restricted

INPUT_NAMES = ("hidden_states", "sample")


class DenoiserReplay:
    """Repeats the denoiser's last call of a running pipeline for other latents. Use inside ``listening``."""

    def __init__(self, pipeline: Any, packing: Packing | None = None) -> None:
        """Takes a pipeline whose ``unet`` or ``transformer`` is called once for each step.

        Args:
            pipeline: any of diffusers' that guides, if it does, by one batch of two halves.
            packing: as for the tap.
        """
        self._pipeline = pipeline
        self._denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
        self._packing = packing
        self._heard: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Remembers what the denoiser is asked, for the time of a run."""

        def heard(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._heard = (args, kwargs)

        handle = self._denoiser.register_forward_pre_hook(heard, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
            self._heard = None

    def x0(self, step: Step, sample: Tensor) -> Tensor:
        """x0 as a differentiable function of the noisy latents.

        Args:
            step: the one that is about to be taken.
            sample: (B, C, h, w), in the place of ``step.sample``.

        Returns:
            float32 (B, C, h, w).

        Raises:
            ModelUnavailable: if the denoiser was called in a way that cannot be repeated.
        """
        if self._heard is None:
            raise ModelUnavailable("the denoiser was not listened to during this run")
        args, kwargs = self._heard
        name = next((name for name in INPUT_NAMES if name in kwargs), None)
        asked: Tensor = kwargs[name] if name is not None else args[0]
        given = self._as_input(step, sample, asked)
        again = (args, kwargs | {name: given}) if name is not None else ((given, *args[1:]), kwargs)
        output = self._denoiser(*again[0], **again[1])
        guided = self._guided(output[0] if isinstance(output, tuple) else output.sample, len(sample))
        grid = guided if self._packing is None else self._packing.unpack(guided)
        return restricted(step.scheduler, step.parameterization.x0(grid, sample))

    def _as_input(self, step: Step, sample: Tensor, asked: Tensor) -> Tensor:
        """The sample as the pipeline makes an input of it: scaled, doubled, with an inpainting mask."""
        row = sample if self._packing is None else self._packing.pack(sample)
        row = torch.cat([row] * (len(asked) // len(row)))
        if hasattr(step.scheduler, "scale_model_input"):
            row = step.scheduler.scale_model_input(row, step.timestep)
        row = row.to(asked.dtype)
        if self._packing is None and asked.shape[1] > row.shape[1]:
            row = torch.cat([row, asked[:, row.shape[1] :]], 1)
        return row

    def _guided(self, output: Tensor, batch: int) -> Tensor:
        """Without and with the prompt, put together as all these pipelines do."""
        if len(output) == batch:
            return output
        if len(output) != 2 * batch:
            raise ModelUnavailable(f"guidance by {len(output) // batch} calls cannot be repeated")
        without, prompted = output.chunk(2)
        return without + float(self._pipeline.guidance_scale) * (prompted - without)
