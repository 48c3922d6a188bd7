"""What is done around each call of a pipeline's networks: somebody may end the run, and no NaN gets out."""

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
    """Tells how many steps of a run are done: after each, and before each call of a network.

    The same number is told again and again, so that whoever is told can end a run within one call.
    """

    def __init__(self, on_step: Callable[[int], None] | None, first: int = 0) -> None:
        """Takes who is told, and how many steps were done before this run."""
        self._on_step = on_step or (lambda _done: None)
        self._first = self._done = first

    def at_call(self, *_: object) -> None:
        """Tells it before a call: a hook for a network."""
        self._on_step(self._done)

    def after_step(
        self, _pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Tells it after a step: the pipelines' own ``callback_on_step_end``."""
        self._done = self._first + step + 1
        self._on_step(self._done)
        return tensors


def denoiser_of(pipeline: Any) -> nn.Module:
    """The network that is called for each step."""
    denoiser: nn.Module = getattr(pipeline, "unet", None) or pipeline.transformer
    return denoiser


def networks_of(pipeline: Any) -> list[nn.Module]:
    """What takes the time of a run: the denoiser and both halves of the autoencoder."""
    coders = (getattr(pipeline.vae, name, None) for name in ("encoder", "decoder"))
    return [denoiser_of(pipeline), *(coder for coder in coders if coder is not None)]


@contextmanager
def attended(pipeline: Any, steps: Steps) -> Iterator[None]:
    """Has ``steps`` told before each network's call, and what is decoded looked at, for the time of a run.

    Raises:
        ModelUnavailable: ``model_output_not_finite``, as soon as something decoded holds NaN or infinity.
    """
    with ExitStack() as stack:
        for network in networks_of(pipeline):
            stack.enter_context(_removed(network.register_forward_pre_hook(steps.at_call)))
        decoder = getattr(pipeline.vae, "decoder", None)
        if decoder is not None:
            stack.enter_context(_removed(decoder.register_forward_hook(_look_at)))
        yield


def check_finite(is_finite: bool) -> None:
    """Refuses what a model gave, if it is no numbers.

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
