"""Time budget, learning-rate schedule by time and averaged weights, for all training runs."""

from __future__ import annotations

import copy
import math
import time

import torch
from torch import nn


class Budget:
    """A run bounded by wall-clock time; its progress in [0, 1] drives the learning rate."""

    def __init__(self, minutes: float) -> None:
        self._seconds = minutes * 60
        self._start = time.monotonic()

    @property
    def progress(self) -> float:
        """Share of the time that is gone, at most 1."""
        return min((time.monotonic() - self._start) / self._seconds, 1.0)

    def learning_rate(self, peak: float, warm: float = 0.03, floor: float = 0.02) -> float:
        """Linear warm-up, then a cosine down to ``floor`` times the peak."""
        done = self.progress
        if done < warm:
            return peak * (0.05 + 0.95 * done / warm)
        return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm))))


class AveragedWeights:
    """An exponential moving average of a module's weights (Polyak averaging), slow to start on purpose."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.steps = 0
        """Updates so far: a run that goes on from a checkpoint sets it, or the slow start comes anew."""
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves the average towards the module's present weights."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
        floating = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        # One call for all of them: on a GPU, a call for each takes as long as the training step itself.
        torch._foreach_lerp_([kept for kept, _ in floating], [fresh for _, fresh in floating], 1 - decay)
        for kept, fresh in pairs:
            if not kept.dtype.is_floating_point:
                kept.copy_(fresh)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
