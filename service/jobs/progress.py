"""That a worker gets on: counted by it, and watched by its keeper from another process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from multiprocessing.sharedctypes import RawArray

MORE_FOR_COST = 100.0
MOST_TIMES = 10.0
_MOST_BETWEEN_LOOKS_S = 15.0
_BEATS, _PATIENCE_S, _IS_READY = range(3)


def patience_s(stall_s: float, cost: float) -> float:
    """How long a job may do no step: ``stall_s``, and more for a large one, whose steps are longer.

    Args:
        stall_s: what a job of up to a hundred megapixel steps is given.
        cost: of the job, in megapixel steps.
    """
    return stall_s * min(max(cost / MORE_FOR_COST, 1.0), MOST_TIMES)


class Progress:
    """One worker's signs of getting on, in memory that it shares with its keeper.

    A few numbers and no pipe: neither side can hold up the other, whatever becomes of it. Written by the
    worker's working thread only.
    """

    def __init__(self) -> None:
        self._shared = RawArray("d", [0.0, math.inf, 0.0])

    def beat(self) -> None:
        """Tells that something was done: a step, a rung, a decode, or a look for work."""
        self._shared[_BEATS] += 1

    def allow(self, patience_s: float) -> None:
        """Tells how long the next thing may take."""
        self._shared[_PATIENCE_S] = patience_s
        self.beat()

    def ready(self) -> None:
        """Tells that the models are loaded."""
        self._shared[_IS_READY] = 1.0

    @property
    def beats(self) -> float:
        """How many there were."""
        return float(self._shared[_BEATS])

    @property
    def patience_s(self) -> float:
        """How long there may be none."""
        return float(self._shared[_PATIENCE_S])

    @property
    def is_ready(self) -> bool:
        """Whether the models are loaded."""
        return bool(self._shared[_IS_READY])


class Watchdog:
    """Adds up how long a worker has done nothing.

    Only the time in which the watcher itself was awake counts: a machine that sleeps, or a container that is
    paused, makes nobody a suspect.

    Args:
        progress: of the worker.
        clock: seconds, never set back.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._beats = progress.beats
        self._looked_at = clock()
        self.silent_s = 0.0

    def is_stuck(self) -> bool:
        """Whether the worker has done nothing for longer than it may; to be asked every few seconds."""
        now, beats = self._clock(), self._progress.beats
        passed_s, self._looked_at = min(now - self._looked_at, _MOST_BETWEEN_LOOKS_S), now
        self.silent_s = self.silent_s + passed_s if beats == self._beats else 0.0
        self._beats = beats
        return self.silent_s > self._progress.patience_s
