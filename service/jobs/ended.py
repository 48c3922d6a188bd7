"""Finished jobs, each reported once: the source of the metrics."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from sqlalchemy import select

from service.database.connect import Database
from service.database.schema import jobs
from service.jobs.records import Json

_OVERLAP_S = 30.0
"""A job's end time is the start of its transaction; the job is visible only after the commit."""
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class EndedJob:
    """The facts of one finished job that are counted; times are seconds since 1970, UTC."""

    id: str
    kind: str
    state: str
    created_at: float
    started_at: float | None
    finished_at: float
    result: Json | None


class EndedJobs:
    """Reports each finished job once. Thread-safe.

    Args:
        database: the database of the jobs.
        since: jobs that ended before this time are not reported.
    """

    def __init__(self, database: Database, since: float) -> None:
        self._database = database
        self._since = self._mark = since
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def new(self) -> list[EndedJob]:
        """Returns the jobs that were not reported yet: a few thousand at most, the rest with the next call.

        Raises:
            DatabaseUnavailable: if the jobs cannot be read; the next call reports them.
        """
        with self._lock:
            found = self._after(max(self._mark - _OVERLAP_S, self._since), _AT_ONCE + len(self._told))
            fresh = [job for job in found if job.id not in self._told]
            self._told |= {job.id: job.finished_at for job in fresh}
            self._mark = max((job.finished_at for job in fresh), default=self._mark)
            forgotten = self._mark - _OVERLAP_S
            self._told = {job_id: at for job_id, at in self._told.items() if at >= forgotten}
            return fresh

    def _after(self, time: float, limit: int) -> list[EndedJob]:
        columns = (
            jobs.c.id, jobs.c.kind, jobs.c.state, jobs.c.created_at, jobs.c.started_at, jobs.c.finished_at,
            jobs.c.result,
        )  # fmt: skip
        query = select(*columns).where(jobs.c.finished_at >= time).order_by(jobs.c.finished_at).limit(limit)
        with self._database.read() as connection:
            return [
                EndedJob(*row[:-1], json.loads(row.result) if row.result else None)
                for row in connection.execute(query)
            ]
