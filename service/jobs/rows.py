"""From rows of the job table to records. What cannot be read is told, and takes nothing else along."""

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
    """The record of a row of the table; ``before`` jobs wait before it, counted if it is not told.

    Raises:
        Unreadable: if what is written there is no job.
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
    """What is said of a job that cannot be told."""
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
    """The jobs of these rows; one that cannot be read is told in the log and left out."""
    before: dict[str, int] | None = None
    for row in rows:
        if row.state == JobState.QUEUED.value and before is None:
            before = positions(connection)
        try:
            yield job_of(connection, row, (before or {}).get(row.id))
        except Unreadable as error:
            _log.error("job %s cannot be read and is left out", row.id, exc_info=error)


def row_of(connection: Connection, job_id: str, owner: str | None, lock: bool = False) -> Row[Any]:
    """The row of one job.

    Args:
        connection: a transaction; one that writes if the row is to be locked.
        job_id: of the job.
        owner: whose it must be; anybody's if None.
        lock: whether nobody else may change it until the transaction ends.

    Raises:
        NotFound: ``unknown_job``, also for somebody else's and for what is no id.
    """
    query: Select[Any] = select(jobs).where(jobs.c.id == job_id)
    if lock:
        query = query.with_for_update()
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    # What is no id is not asked for: a database may refuse to compare it with one.
    row = connection.execute(query).one_or_none() if _ID.fullmatch(job_id) else None
    if row is None:
        raise NotFound("there is no job of this id", code="unknown_job", allowed="the id of a job of yours")
    return row
