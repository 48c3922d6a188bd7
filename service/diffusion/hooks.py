"""The one place where a running pipeline is looked into and bent: ``scheduler.step``, wrapped for a run.

Every denoising pipeline of diffusers calls ``scheduler.step(model_output, t, sample)`` once per call of its
denoiser. The tap works out x0 there and hands it to hooks; what they change goes into ``model_output``, and
the library's own step is taken.
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
    """One call of the denoiser, about to be turned into a step.

    Attributes:
        index: calls made before this one in this run. A second-order scheduler makes two for most steps.
        total: calls that the run will make.
        timestep: as the pipeline gave it.
        parameterization: noise level and kind of prediction.
        sample: the noisy latents (B, C, h, w) that the denoiser saw, never packed.
        x0: float32 (B, C, h, w), what it takes for the finished latents.
        scheduler: the pipeline's, before its step.
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
        """Share of the run's denoiser calls that are made, this one included, in (0, 1]."""
        return (self.index + 1) / self.total

    @property
    def is_last(self) -> bool:
        """Whether the picture is finished after this step."""
        return self.index + 1 >= self.total


@runtime_checkable
class BeforeHook(Protocol):
    """Looks at a step before it is taken."""

    def __call__(self, step: Step) -> Tensor | None:
        """Returns a changed x0 (same shape), or None to change nothing. May raise ``StopRun``."""
        ...


@runtime_checkable
class AfterHook(Protocol):
    """Looks at what a step led to."""

    def after(self, step: Step, latents: Tensor) -> Tensor | None:
        """Returns changed latents for the next step (B, C, h, w), or None to change nothing."""
        ...


Hook = BeforeHook | AfterHook
"""One method, or both."""


class StopRun(Exception):
    """Raised by a hook to end the run: neither the steps that are left nor the final decode happen.

    Attributes:
        reason: the record that says why, for the report.
    """

    def __init__(self, reason: object) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextmanager
def tap(pipeline: Any, hooks: Sequence[Hook], packing: Packing | None = None) -> Iterator[None]:
    """Calls ``hooks``, in order, at every step of the one run of ``pipeline`` inside the ``with``.

    Without hooks nothing is wrapped; with hooks that change nothing the run is the library's, bit for bit.
    The wrapper is taken off again however the block ends. Taps may be nested, and the inner one's hooks
    then come last.

    Args:
        pipeline: any diffusers pipeline with a ``scheduler``. Other pipelines that share the scheduler
            are tapped as well.
        hooks: each with ``__call__``, ``after`` or both.
        packing: the grid behind packed latents (see ``Packing.of``); None if they are not packed.

    Raises:
        StopRun: as a hook raises it.
        ModelUnavailable: at the first step, if the scheduler is of a kind that is not understood.
    """
    if not hooks:
        yield
        return
    scheduler = pipeline.scheduler
    tapped = _Tapped(scheduler, scheduler.step, hooks, packing)

    @functools.wraps(scheduler.step)  # pipelines read the signature to learn what a scheduler takes
    def step(*args: Any, **kwargs: Any) -> Any:
        return tapped.step(*args, **kwargs)

    with replaced(scheduler, "step", step):
        try:
            yield
        except StopRun:
            pipeline.maybe_free_model_hooks()  # what the pipeline itself does after its last line
            raise


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Sets an attribute of one object, and brings back what was there, be it the class's own."""
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
