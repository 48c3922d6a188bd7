"""Repair in flight: recording of a run, and resumption from one of its steps inside a mask.

Nothing is decoded and encoded again, so the latents outside the mask stay the same, to the last bit.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from detectors.detections import Mask
from service.diffusion.hooks import Hook, Step, replaced, tap
from service.diffusion.latents import Packing, mask_to_cells
from service.diffusion.parameterization import Parameterization

# Not part of the scheduler's state: its frozen configuration, and methods wrapped on the instance.
NOT_STATE = frozenset({"_internal_dict", "step", "scale_model_input", "set_timesteps"})


@dataclass(frozen=True, slots=True, eq=False)
class ResumePoint:
    """A step from which a run can be resumed.

    Attributes:
        parameterization: noise level at this step.
        x0: float32 (B, C, h, w), the x0 predicted there.
        state: the scheduler's attributes, with the history of a multistep method.
    """

    parameterization: Parameterization
    x0: Tensor
    state: Mapping[str, Any]


class RunRecorder:
    """A hook that saves x_t before every step, and after the last.

    It must come before a hook that may stop the run, so that the last step is recorded too.

    Attributes:
        samples: samples (B, C, h, w) by index of the step; one more than steps after a whole run.
        kept: the steps from which the run can be resumed, by index.
    """

    def __init__(self, at: Collection[int] | None = None) -> None:
        """Takes the indices of steps from which to resume; None means all."""
        self._at = at
        self.samples: list[Tensor] = []
        self.kept: dict[int, ResumePoint] = {}

    def __call__(self, step: Step) -> None:
        """Saves the sample and, at the chosen steps, the scheduler's state."""
        self.samples.append(step.sample.clone())
        if self._at is None or step.index in self._at:
            state = _copied(vars(step.scheduler))
            self.kept[step.index] = ResumePoint(step.parameterization, step.x0.clone(), state)

    def after(self, step: Step, latents: Tensor) -> None:
        """Saves the finished latents."""
        if step.is_last:
            self.samples.append(latents.clone())


@dataclass(frozen=True, slots=True, eq=False)
class Resume:
    """The point at which a recorded run is resumed.

    Attributes:
        recorder: record of the run.
        index: index of the step, a key of ``recorder.kept``.
        mask: float32 (H, W) in pixels of the picture; above 0 = sample again.
        seed: seed of the fresh noise.
    """

    recorder: RunRecorder
    index: int
    mask: Mask
    seed: int

    @property
    def cells(self) -> Tensor:
        """The mask in latent cells, (1, 1, h, w), for ``resume_inside``."""
        rows, columns = self.recorder.samples[self.index].shape[-2:]
        return mask_to_cells(self.mask, (rows, columns))


class HoldOutside:
    """A hook that replaces samples by recorded ones wherever a mask is 0, as long as there are any."""

    def __init__(self, samples: Sequence[Tensor], first: int, inside: Tensor) -> None:
        """Takes the recorded samples and the mask.

        Args:
            samples: samples by index of the step in the recorded run.
            first: index in the recorded run of this run's first step.
            inside: bool, broadcast over (B, C, h, w); False = use the recorded sample.
        """
        self._samples = samples
        self._first = first
        self._inside = inside

    def after(self, step: Step, latents: Tensor) -> Tensor | None:
        """Returns the new latents inside the mask and the recorded ones outside."""
        index = self._first + step.index + 1
        if index >= len(self._samples):
            return None
        return torch.where(self._inside, latents, self._samples[index])


@contextmanager
def resume_inside(
    pipeline: Any,
    recorder: RunRecorder,
    index: int,
    cells: Tensor,
    seeds: Sequence[int],
    hooks: Sequence[Hook] = (),
    packing: Packing | None = None,
) -> Iterator[Tensor]:
    """Goes back to a recorded step and samples again inside a mask, from fresh noise around that step's x0.

    The ``with`` is for one call of the same text-to-image pipeline, with the same arguments and with
    ``latents=`` set to its value. Only the steps from ``index`` on are run. Outside the mask every sample
    is the recorded one. If the recorded run was stopped, that holds up to its last step; from there on the
    whole picture is sampled.

    Args:
        pipeline: the pipeline whose run was recorded, from its first step on.
        recorder: record of the run.
        index: index of the step, a key of ``recorder.kept``.
        cells: mask in latent cells, (1, 1, h, w); above 0 = sample again.
        seeds: seeds of the fresh noise, one for each picture in the batch.
        hooks: further hooks, called before the recorded samples are restored.
        packing: see ``tap``.

    Raises:
        KeyError: no step was kept at ``index``.
    """
    kept, sample = recorder.kept[index], recorder.samples[index]
    inside = (cells > 0).to(sample.device)
    noise = [torch.randn(sample.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds]
    fresh = kept.parameterization.renoised(kept.x0, torch.stack(noise).to(sample.device)).to(sample.dtype)
    start = torch.where(inside, fresh, sample)
    row = start if packing is None else packing.pack(start)
    scheduler = pipeline.scheduler
    vars(scheduler).update(_copied(kept.state))
    # Pipelines multiply their input latents by this factor, if the scheduler has it.
    given = row / getattr(scheduler, "init_noise_sigma", 1.0)
    with (
        tap(pipeline, [*hooks, HoldOutside(recorder.samples, index, inside)], packing),
        _from(scheduler, index, kept.state, row),
    ):
        yield given


@contextmanager
def _from(scheduler: Any, index: int, state: Mapping[str, Any], sample: Tensor) -> Iterator[None]:
    """Starts the next run at ``index`` with ``sample``, and with the scheduler in ``state``.

    The pipeline sets the timesteps anew, and gets only the later ones. The scheduler itself counts from
    the start of the schedule, so its state is restored when the pipeline first uses it after that.
    """
    to_restore, to_give = [state], [sample]

    def arrive() -> None:
        if to_restore:
            vars(scheduler).update(_copied(to_restore.pop()))

    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        before["set_timesteps"](*args, **kwargs)
        scheduler.timesteps = scheduler.timesteps[index:]

    def scale_model_input(*args: Any, **kwargs: Any) -> Any:
        arrive()
        return before["scale_model_input"](*args, **kwargs)

    def step(model_output: Tensor, timestep: Any, latents: Tensor, *args: Any, **kwargs: Any) -> Any:
        arrive()
        exact = to_give.pop() if to_give else latents  # the pipeline has rounded its own latents
        return before["step"](model_output, timestep, exact, *args, **kwargs)

    wrapped = [w for w in (set_timesteps, scale_model_input, step) if hasattr(scheduler, w.__name__)]
    before = {wrapper.__name__: getattr(scheduler, wrapper.__name__) for wrapper in wrapped}
    with ExitStack() as stack:
        for wrapper in wrapped:
            name = wrapper.__name__
            stack.enter_context(replaced(scheduler, name, functools.wraps(before[name])(wrapper)))
        yield


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Copies the state and its tensors, since some schedulers change theirs in place."""
    return {name: _copy(value) for name, value in state.items() if name not in NOT_STATE}


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return [_copy(item) for item in value] if isinstance(value, list) else value
