"""Holds what a stretch of work costs this process."""

from __future__ import annotations

import threading
import time

import psutil

MAX_EXTRA_BYTES = 512_000_000
MAX_REQUEST_S = 2.0


class WatchHook:
    """Samples the resident memory every few milliseconds for as long as it is open.

    Attributes:
        peak_bytes: the most that was seen above what it was at the beginning.
        slowest_s: the processor time of the most expensive call; a busy machine must not fail a test.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._idle_bytes = self._resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak_bytes = 0
        self.slowest_s = 0.0

    def __enter__(self) -> WatchHook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def timed(self, call, *args, **kwargs):
        started = time.process_time()
        try:
            return call(*args, **kwargs)
        finally:
            self.slowest_s = max(self.slowest_s, time.process_time() - started)

    def check(self) -> None:
        assert self.peak_bytes < MAX_EXTRA_BYTES, f"{self.peak_bytes / 1e6:.0f} MB above idle"
        assert self.slowest_s < MAX_REQUEST_S

    def _resident(self) -> int:
        return self._process.memory_info().rss

    def _sample(self) -> None:
        while not self._done.wait(0.005):
            self.peak_bytes = max(self.peak_bytes, self._resident() - self._idle_bytes)
