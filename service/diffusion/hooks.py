"""Hooks into a running pipeline, by way of a wrapped ``scheduler.step``.

Every denoising pipeline of diffusers calls ``scheduler.step(model_output, t, sample)`` once per call of its
denoiser. The tap computes x0 there and passes it to hooks. Their changes go into ``model_output``, and then
the library's own step runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from service.diffusion.latents import Packing
from service.diffusion.parameterization import (
    Parameterization,
    parameterization_of,
    restricted,
    schedule_index,
)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call of the denoiser, before the scheduler's step.

    Attributes:
        index: number of calls before this one in this run. A second-order scheduler makes two for most
            steps.
        total: number of calls in the whole run.
        timestep: timestep, as the pipeline passes it.
        parameterization: noise level and prediction type.
        sample: the noisy latents (B, C, h, w), the denoiser's input; never packed.
        x0: float32 (B, C, h, w), the predicted finished latents.
        scheduler: the pipeline's scheduler, before its step.
    """

    index: int
    total: int
    timestep: Any
    parameterization: Parameterization
    sample: Tensor
    x0: Tensor
    scheduler: Any

    @property
    def progress(self) -> float:
        """Share of the run's denoiser calls made so far, including this one, in (0, 1]."""
        return (self.index + 1) / self.total

    @property
    def is_last(self) -> bool:
        """True if the picture is finished after this step."""
        return self.index + 1 >= self.total


@runtime_checkable
class BeforeHook(Protocol):
    """A hook that runs before a step."""

    def __call__(self, step: Step) -> Tensor | None:
        """Returns a changed x0 (same shape), or None to change nothing. May raise ``StopRun``."""
        ...


@runtime_checkable
class AfterHook(Protocol):
    """A hook that runs after a step."""

    def after(self, step: Step, latents: Tensor) -> Tensor | None:
        """Returns changed latents for the next step (B, C, h, w), or None to change nothing."""
        ...


Hook = BeforeHook | AfterHook
"""A hook with one of the methods, or both."""


class StopRun(Exception):
    """Raised by a hook to end the run, without the remaining steps and the final decode.

    Attributes:
        reason: record of the reason, for the report.
    """

    def __init__(self, reason: object) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def tap(pipeline: Any, hooks: Sequence[Hook], packing: Packing | None = None) -> Iterator[None]:
    """Calls ``hooks``, in order, at every step of the one run of ``pipeline`` inside the ``with``.

    Without hooks nothing is wrapped; with hooks that change nothing the run is the library's, bit for bit.
    The wrapper is always removed at the end of the block. Taps may be nested; the inner tap's hooks then run
    last.

    Args:
        pipeline: any diffusers pipeline with a ``scheduler``. Other pipelines that share the scheduler
            are tapped as well.
        hooks: hooks with ``__call__``, ``after`` or both.
        packing: the grid behind packed latents (see ``Packing.of``); None if they are not packed.

    Raises:
        StopRun: raised by a hook.
        ModelUnavailable: at the first step, if the scheduler is not supported.
    """
    if not hooks:
        yield
        return
    scheduler = pipeline.scheduler
    tapped = _Tapped(scheduler, scheduler.step, hooks, packing)

    @functools.wraps(scheduler.step)  # pipelines inspect the signature for the scheduler's parameters
    def step(*args: Any, **kwargs: Any) -> Any:
        return tapped.step(*args, **kwargs)

    with replaced(scheduler, "step", step):
        try:
            yield
        except StopRun:
            pipeline.maybe_free_model_hooks()  # the pipeline itself does this at its end
            raise


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Sets an attribute of one object inside the ``with``, and restores the old one, even the class's own."""
    missing = object()
    before = vars(owner).get(name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


class _Tapped:
    """The state of one tapped run."""

    def __init__(self, scheduler: Any, real: Any, hooks: Sequence[Hook], packing: Packing | None) -> None:
        self._scheduler = scheduler
        self._real = real
        self._before = [hook for hook in hooks if isinstance(hook, BeforeHook)]
        self._after = [hook for hook in hooks if isinstance(hook, AfterHook)]
        self._packing = packing
        self._calls = 0
        self._total = 0

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        step, output = self._look(model_output, timestep, sample)
        result = self._real(output, timestep, sample, *args, **kwargs)
        latents = result[0] if isinstance(result, tuple) else result.prev_sample
        changed = self._looked_after(step, latents)
        if changed is latents:
            return result
        if isinstance(result, tuple):
            return (changed, *result[1:])
        result.prev_sample = changed
        return result

    def _look(self, model_output: Tensor, timestep: Any, sample: Tensor) -> tuple[Step, Tensor]:
        scheduler = self._scheduler
        if self._calls == 0:
            self._total = len(scheduler.timesteps) - schedule_index(scheduler, timestep)
        parameterization = parameterization_of(scheduler, timestep)
        x0 = self._grid(restricted(scheduler, parameterization.x0(model_output, sample)))
        step = Step(self._calls, self._total, timestep, parameterization, self._grid(sample), x0, scheduler)
        self._calls += 1
        for hook in self._before:
            changed = hook(step)
            step = step if changed is None else replace(step, x0=changed.float())
        if step.x0 is not x0:
            output = parameterization.output_for(step.x0, x0, self._grid(model_output), step.sample)
            model_output = self._row(output)
        return step, model_output

    def _looked_after(self, step: Step, latents: Tensor) -> Tensor:
        for hook in self._after:
            changed = hook.after(step, self._grid(latents))
            latents = latents if changed is None else self._row(changed.to(latents.dtype))
        return latents

    def _grid(self, latents: Tensor) -> Tensor:
        return latents if self._packing is None else self._packing.unpack(latents)

    def _row(self, latents: Tensor) -> Tensor:
        return latents if self._packing is None else self._packing.pack(latents)
