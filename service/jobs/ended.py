"""The jobs that have ended since one last looked, each told once: what metrics are made of."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from sqlalchemy import select

from service.database.connect import Database
from service.database.schema import jobs
from service.jobs.records import Json

_OVERLAP_S = 30.0
"""A job's end bears the time at which its transaction began; it is seen when that is committed."""
_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class EndedJob:
    """What is counted of one job; times are seconds since 1970, UTC."""

    id: str
    kind: str
    state: str
    created_at: float
    started_at: float | None
    finished_at: float
    result: Json | None


class EndedJobs:
    """Tells each job that ends once. To be shared between threads.

    Args:
        database: where the jobs are.
        since: jobs that ended before are not told of.
    """

    def __init__(self, database: Database, since: float) -> None:
        self._database = database
        self._since = self._mark = since
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def new(self) -> list[EndedJob]:
        """Those that were not told of yet; at most a few thousand, the rest next time.

        Raises:
            DatabaseUnavailable: if they cannot be read; they are told next time.
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
