"""A thread that writes the events of running jobs, so that the work never waits for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from service.core.errors import DatabaseUnavailable
from service.jobs.events import EventLog
from service.jobs.records import EventType, Json
from service.jobs.vital_thread import VitalThread

WRITE_EVERY_S = 0.1
AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses, in seconds, before retries while the database is unavailable; the last one is repeated."""

_log = logging.getLogger(__name__)


class EventWriter:
    """A thread that writes all events that arrived since the last write in one transaction.

    Use as a context manager; the events that are left are written on exit.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._changed = threading.Condition()
        self._waiting: list[tuple[str, EventType, Callable[[], Json]]] = []
        self._writing = self._hurry = self._closed = False
        self._thread = VitalThread(self._run, "events", daemon=True)

    def __enter__(self) -> EventWriter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def write(self, job_id: str, kind: EventType, data: Callable[[], Json]) -> None:
        """Queues an event and returns at once; ``data`` is called in the thread, as it may be slow."""
        with self._changed:
            self._waiting.append((job_id, kind, data))
            self._changed.notify_all()

    def flush(self) -> None:
        """Returns when all queued events are written, so that no event follows a job's end."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._writing)
            self._hurry = False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                # Let more events come together, unless a caller waits in flush().
                self._changed.wait_for(lambda: self._hurry or self._closed, WRITE_EVERY_S)
                batch, self._waiting = self._waiting, []
                self._writing = True
                if not batch:
                    return
            self._write(batch)
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _write(self, batch: Sequence[tuple[str, EventType, Callable[[], Json]]]) -> None:
        try:
            events = [(job_id, kind, data()) for job_id, kind, data in batch]
            for pause_s in AGAIN_S:
                try:
                    self._log.append(events)
                except DatabaseUnavailable:
                    time.sleep(pause_s)
                else:
                    return
            _log.warning("%d events could not be written", len(batch))  # followers may miss them
        except Exception:  # noqa: BLE001 - this thread must stay alive: a job's end waits for it
            _log.exception("%d events could not be written", len(batch))
