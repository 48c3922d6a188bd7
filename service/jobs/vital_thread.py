"""Threads that a process cannot do without: if one ends by an error, so does the process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


def end_process() -> None:
    """Ends this process by SIGTERM, so that its supervisor restarts it."""
    os.kill(os.getpid(), signal.SIGTERM)


class VitalThread(threading.Thread):
    """A thread that never dies silently.

    Args:
        run: the work; handles foreseeable errors itself.
        name: the name of the thread.
        on_death: called if ``run`` raises all the same.
    """

    def __init__(
        self,
        run: Callable[[], None],
        name: str,
        *,
        daemon: bool = False,
        on_death: Callable[[], None] = end_process,
    ) -> None:
        super().__init__(name=name, daemon=daemon)
        self._run, self._on_death = run, on_death

    def run(self) -> None:
        """Runs the work; an error ends the process by ``on_death``."""
        try:
            self._run()
        except BaseException:  # noqa: BLE001 - logged, and answered by the end of the process
            _log.critical("the thread %s has ended; so does its process", self.name, exc_info=True)
            self._on_death()
