"""Threads without which a process is worth nothing: where one ends by an error, so does the process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


def end_process() -> None:
    """Ends this process as if it was told to, so that whoever keeps it starts it again."""
    os.kill(os.getpid(), signal.SIGTERM)


class VitalThread(threading.Thread):
    """A thread that does not die in silence.

    Args:
        run: what it does; handles what can be foreseen itself.
        name: of the thread.
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
        """See ``Thread``."""
        try:
            self._run()
        except BaseException:  # noqa: BLE001 - told, and answered by the end of the process
            _log.critical("the thread %s has ended; so does its process", self.name, exc_info=True)
            self._on_death()
