"""Hooks around each call of a pipeline's networks: a run can be ended there, and NaN is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from service.core.errors import ModelUnavailable

NOT_FINITE = "model_output_not_finite"
NOT_FINITE_HELP = (
    "ANATOMEND_PRECISION=float32 on a CPU",
    "another autoencoder: one made for half precision on an accelerator",
    "another checkpoint, if its weights themselves are broken",
)


class Steps:
    """Reports the number of steps done in a run: after each step, and before each call of a network.

    The same number is reported repeatedly, so that the receiver can end a run within one call.
    """

    def __init__(self, on_step: Callable[[int], None] | None, first: int = 0) -> None:
        """Takes the receiver, and the number of steps done before this run."""
        self._on_step = on_step or (lambda _done: None)
        self._first = self._done = first

    def at_call(self, *_: object) -> None:
        """Reports before a call; a forward pre-hook for a network."""
        self._on_step(self._done)

    def after_step(
        self, _pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Reports after a step; a ``callback_on_step_end`` for a pipeline."""
        self._done = self._first + step + 1
        self._on_step(self._done)
        return tensors


def denoiser_of(pipeline: Any) -> nn.Module:
    """Returns the denoiser, the network that is called for each step."""
    denoiser: nn.Module = getattr(pipeline, "unet", None) or pipeline.transformer
    return denoiser


def networks_of(pipeline: Any) -> list[nn.Module]:
    """Returns the networks that take the time of a run: the denoiser and both halves of the autoencoder."""
    coders = (getattr(pipeline.vae, name, None) for name in ("encoder", "decoder"))
    return [denoiser_of(pipeline), *(coder for coder in coders if coder is not None)]


@contextmanager
def attended(pipeline: Any, steps: Steps) -> Iterator[None]:
    """Attaches ``steps`` and a check of decoded pictures to a pipeline's networks, for the time of a run.

    Raises:
        ModelUnavailable: ``model_output_not_finite``, as soon as a decoded picture holds NaN or infinity.
    """
    with ExitStack() as stack:
        for network in networks_of(pipeline):
            stack.enter_context(_removed(network.register_forward_pre_hook(steps.at_call)))
        decoder = getattr(pipeline.vae, "decoder", None)
        if decoder is not None:
            stack.enter_context(_removed(decoder.register_forward_hook(_look_at)))
        yield


def check_finite(is_finite: bool) -> None:
    """Refuses output that is not finite.

    Raises:
        ModelUnavailable: ``model_output_not_finite``.
    """
    if not is_finite:
        raise ModelUnavailable(
            "the model's output is not finite: NaN or infinity in place of a picture",
            code=NOT_FINITE,
            allowed=list(NOT_FINITE_HELP),
        )


def _look_at(_decoder: object, _args: object, output: Any) -> None:
    if isinstance(output, torch.Tensor):
        check_finite(bool(torch.isfinite(output).all()))


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()
