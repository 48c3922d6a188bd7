"""Conversion of rows of the job table to records. An unreadable row is logged and affects no other."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from service.core.errors import NotFound, Unreadable
from service.core.job_state import JobKind, JobState
from service.database.schema import jobs
from service.jobs.records import Job
from service.jobs.turns import positions

_ID = re.compile(r"[0-9a-f]{32}")

_log = logging.getLogger(__name__)


def job_of(connection: Connection, row: Row[Any], before: int | None = None) -> Job:
    """Returns the record of a row; ``before`` is the number of jobs ahead, counted here if None.

    Raises:
        Unreadable: if the row holds no valid job.
    """
    try:
        state = JobState(row.state)
        position = before if state is JobState.QUEUED else None
        if state is JobState.QUEUED and before is None:
            position = positions(connection).get(row.id)
        return Job(
            seq=row.seq,
            id=row.id,
            kind=JobKind(row.kind),
            state=state,
            owner=row.owner,
            request=_object(row.request),
            inputs=_object(row.inputs),
            created_at=float(row.created_at),
            started_at=row.started_at,
            finished_at=row.finished_at,
            attempts=row.attempts,
            cancel_requested=row.cancel_requested,
            position=position,
            result=_object(row.result) if row.result else None,
            problem=_object(row.problem) if row.problem else None,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise unreadable(row.id) from error


def unreadable(job_id: str) -> Unreadable:
    """Returns the error for a job that cannot be read."""
    return Unreadable(
        f"what is written down of job {job_id} cannot be read; the log tells why",
        allowed="other jobs, or the same request as a new one",
    )


def _object(text: str) -> Mapping[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def readable(connection: Connection, rows: Iterable[Row[Any]]) -> Iterator[Job]:
    """Yields the jobs of these rows; an unreadable one is logged and left out."""
    before: dict[str, int] | None = None
    for row in rows:
        if row.state == JobState.QUEUED.value and before is None:
            before = positions(connection)
        try:
            yield job_of(connection, row, (before or {}).get(row.id))
        except Unreadable as error:
            _log.error("job %s cannot be read and is left out", row.id, exc_info=error)


def row_of(connection: Connection, job_id: str, owner: str | None, lock: bool = False) -> Row[Any]:
    """Returns the row of one job.

    Args:
        connection: a transaction; a writing one if the row is to be locked.
        job_id: the id of the job.
        owner: the required owner; None for any.
        lock: whether the row is locked until the transaction ends.

    Raises:
        NotFound: ``unknown_job``, also for a job of another owner and for an invalid id.
    """
    query: Select[Any] = select(jobs).where(jobs.c.id == job_id)
    if lock:
        query = query.with_for_update()
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    # An invalid id is not queried: a database may refuse to compare it with an id.
    row = connection.execute(query).one_or_none() if _ID.fullmatch(job_id) else None
    if row is None:
        raise NotFound("there is no job of this id", code="unknown_job", allowed="the id of a job of yours")
    return row
