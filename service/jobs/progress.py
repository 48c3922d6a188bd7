"""A worker's progress: counted by the worker, and watched by its keeper from another process."""

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
    """Returns the maximum time without a step: ``stall_s``, and more for a large job with longer steps.

    Args:
        stall_s: seconds for a job of up to a hundred megapixel steps.
        cost: the cost of the job, in megapixel steps.
    """
    return stall_s * min(max(cost / MORE_FOR_COST, 1.0), MOST_TIMES)


class Progress:
    """One worker's progress, in memory that it shares with its keeper.

    A few numbers and no pipe: neither side can block the other, whatever happens to it. Written by the
    worker's working thread only.
    """

    def __init__(self) -> None:
        self._shared = RawArray("d", [0.0, math.inf, 0.0])

    def beat(self) -> None:
        """Counts one action: a step, an attempt, a decode, or a poll for work."""
        self._shared[_BEATS] += 1

    def allow(self, patience_s: float) -> None:
        """Sets the maximum time of the next action, in seconds."""
        self._shared[_PATIENCE_S] = patience_s
        self.beat()

    def ready(self) -> None:
        """Records that the models are loaded."""
        self._shared[_IS_READY] = 1.0

    @property
    def beats(self) -> float:
        """The number of actions so far."""
        return float(self._shared[_BEATS])

    @property
    def patience_s(self) -> float:
        """The maximum time without an action, in seconds."""
        return float(self._shared[_PATIENCE_S])

    @property
    def is_ready(self) -> bool:
        """True once the models are loaded."""
        return bool(self._shared[_IS_READY])


class Watchdog:
    """Adds up the time that a worker has done nothing.

    Only time in which the watcher itself was awake counts: a machine that sleeps, or a container that is
    paused, does not make a worker look stuck.

    Args:
        progress: the progress of the worker.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._beats = progress.beats
        self._looked_at = clock()
        self.silent_s = 0.0

    def is_stuck(self) -> bool:
        """Returns True if the worker was idle for longer than allowed; to be called every few seconds."""
        now, beats = self._clock(), self._progress.beats
        passed_s, self._looked_at = min(now - self._looked_at, _MOST_BETWEEN_LOOKS_S), now
        self.silent_s = self.silent_s + passed_s if beats == self._beats else 0.0
        self._beats = beats
        return self.silent_s > self._progress.patience_s
