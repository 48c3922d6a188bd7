"""The listener of a running job: reports its progress, and ends it on request."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from PIL import Image as Pillow

from detectors.detections import Image
from service.core.errors import Cancelled, DatabaseUnavailable, TimeLimit
from service.core.regions import Region
from service.core.report import Attempt
from service.jobs.event_writer import AGAIN_S, EventWriter
from service.jobs.leases import Leases
from service.jobs.records import EventType, Json, Lease
from service.schemas.answers import AttemptAnswer

ASK_EVERY_S = 0.05
"""Seconds between checks that the job is still wanted: at each step, unless steps are quicker."""
PROGRESS_EVERY_S = 0.1
UNSEEN_PROGRESS_EVERY_S = 0.5
"""For a job that nobody follows: on two cores, each write stops the denoiser for a while."""
PREVIEW_EVERY_S = 0.5
PREVIEW_SIDE_PX = 256

_log = logging.getLogger(__name__)


class Stopping(Exception):
    """Raised in the middle of a job when the worker has to exit."""


class JobListener:
    """The listener of one job: reports its progress at a limited rate, and ends it on request.

    Args:
        leases: the source of the job's control flags.
        events: the writer of the job's events.
        lease: the lease on the job.
        leave_now: set when the worker has to exit between two steps.
        beat: called at every step, attempt and decode.
        limit_s: the maximum run time of the job, in seconds; 0 for no limit.
    """

    def __init__(
        self,
        leases: Leases,
        events: EventWriter,
        lease: Lease,
        leave_now: threading.Event,
        beat: Callable[[], None] = lambda: None,
        limit_s: float = 0.0,
    ) -> None:
        self._leases, self._events, self._lease = leases, events, lease
        self._begun_at, self._limit_s = time.monotonic(), limit_s
        self._leave_now, self._beat = leave_now, beat
        self._phase = ""
        self._progress_at = self._preview_at = self._asked_at = -1e9
        self._asked_version: int | None = None
        self._pauses = iter(AGAIN_S)
        self._attended = False

    def progress(self, phase: str, done: int, total: int) -> None:
        """Reports progress and ends an unwanted job: it is called between any two steps."""
        self._beat()
        if self._leave_now.is_set():
            raise Stopping
        now = time.monotonic()
        if self._limit_s and now - self._begun_at > self._limit_s:
            raise TimeLimit(
                f"the job was stopped after {now - self._begun_at:.0f} s, in the phase {phase}",
                allowed={"seconds": self._limit_s, "by": "fewer or smaller pictures, steps or attempts"},
            )
        if now - self._asked_at >= ASK_EVERY_S:
            self._asked_at = now
            self._ask_patiently()
        every = PROGRESS_EVERY_S if self._attended else UNSEEN_PROGRESS_EVERY_S
        if phase != self._phase or done == total or now - self._progress_at >= every:
            self._phase, self._progress_at = phase, now
            self._tell(EventType.PROGRESS, {"phase": phase, "done": done, "total": total})

    def _ask_patiently(self) -> None:
        """Checks the control flags; a database outage ends no work, as the lease is checked at the end."""
        try:
            self._ask()
        except DatabaseUnavailable:
            self._asked_version = None
            self._asked_at = time.monotonic() + next(self._pauses, AGAIN_S[-1])
        else:
            self._pauses = iter(AGAIN_S)

    def _ask(self) -> None:
        """Reads the job's control flags, unless nothing was written to the database since the last read."""
        version = self._leases.version()
        if version is not None and version == self._asked_version:
            return
        self._asked_version = version
        control = self._leases.control(self._lease)
        if control.cancel:
            raise Cancelled("the job was cancelled")
        self._attended = control.previews

    def wants_preview(self) -> bool:
        """Returns True if a client follows the job and the last preview is old enough."""
        return self._attended and time.monotonic() - self._preview_at >= PREVIEW_EVERY_S

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Adds a preview event with the current state of the picture."""
        self._beat()
        self._preview_at = time.monotonic()
        self._events.write(
            self._lease.job.id,
            EventType.PREVIEW,
            lambda: {"picture": picture, "step": step, "image": _data_url(image)},
        )

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """Adds an event with the regions that are to be repaired."""
        rows = [{"class_name": r.class_name, "xyxy": list(r.xyxy), "conf": round(r.conf, 4)} for r in regions]
        self._tell(EventType.REGIONS, {"picture": picture, "regions": rows})

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """Adds an event for one attempt."""
        facts = AttemptAnswer.of(attempt).model_dump(mode="json")
        self._tell(EventType.ATTEMPT, {"picture": picture, "region": region, **facts})

    def _tell(self, kind: EventType, data: Json) -> None:
        self._beat()
        self._events.write(self._lease.job.id, kind, lambda: data)


def _data_url(image: Image) -> str:
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((PREVIEW_SIDE_PX, PREVIEW_SIDE_PX))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
