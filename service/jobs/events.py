"""What happened to jobs, for those who follow them."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from typing import Any

from sqlalchemy import BigInteger, Connection, Row, String, column, delete, func, insert, select, values

from service.database.connect import Database, in_pieces
from service.database.schema import job_events
from service.jobs.records import EventType, JobEvent, Json

_log = logging.getLogger(__name__)


def append(connection: Connection, job_id: str, kind: EventType, data: Json) -> None:
    """Tells one thing about a job, in the transaction that makes it true."""
    connection.execute(insert(job_events).values(job_id=job_id, type=kind.value, data=json.dumps(dict(data))))


def end_events(connection: Connection, job_id: str) -> None:
    """Tells that a job is done, and forgets its previews: the pictures themselves are there now."""
    connection.execute(
        delete(job_events).where(job_events.c.job_id == job_id, job_events.c.type == EventType.PREVIEW.value)
    )
    append(connection, job_id, EventType.DONE, {})


class EventLog:
    """Reads and writes events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, events: Collection[tuple[str, EventType, Json]]) -> None:
        """Tells several things at once, each of a job's id."""
        with self._database.write() as connection:
            for job_id, kind, data in events:
                append(connection, job_id, kind, data)

    def latest(self, job_id: str) -> dict[EventType, JobEvent]:
        """The last event of each kind that a job has."""
        last = (
            select(func.max(job_events.c.id)).where(job_events.c.job_id == job_id).group_by(job_events.c.type)
        )
        with self._database.read() as connection:
            rows = connection.execute(select(job_events).where(job_events.c.id.in_(last)))
            events = [_event_of(row) for row in rows]
        return {event.type: event for event in events}

    def after(self, seen: Collection[tuple[str, int]], limit: int = 500) -> list[JobEvent]:
        """What happened to some jobs, in order; of each what came after its own last known event.

        Args:
            seen: each job's id with the id of its last event that is known already.
            limit: at most so many.
        """
        events: list[JobEvent] = []
        for some in in_pieces(seen):
            known = values(column("job_id", String), column("last", BigInteger), name="known").data(some)
            fresh = known.cte("fresh")
            is_new = (job_events.c.job_id == fresh.c.job_id) & (job_events.c.id > fresh.c.last)
            query = select(job_events).join(fresh, is_new).order_by(job_events.c.id)
            with self._database.read() as connection:
                rows = connection.execute(query.limit(limit - len(events)))
                events += [_event_of(row) for row in rows]
            if len(events) == limit:
                break
        return sorted(events, key=lambda event: event.id)

    def last_id(self, job_id: str) -> int:
        """The id of the newest event of a job; 0 if there is none."""
        query = select(func.max(job_events.c.id)).where(job_events.c.job_id == job_id)
        with self._database.read() as connection:
            return connection.scalar(query) or 0


def _event_of(row: Row[Any]) -> JobEvent:
    """The record of a row. One that cannot be read says nothing, but that a job is done must be heard."""
    try:
        return JobEvent(row.id, row.job_id, EventType(row.type), json.loads(row.data))
    except (ValueError, TypeError, RecursionError):
        _log.warning("event %d of job %s cannot be read", row.id, row.job_id)
        is_end = row.type == EventType.DONE.value
        return JobEvent(row.id, row.job_id, EventType.DONE if is_end else EventType.STATE, {})
