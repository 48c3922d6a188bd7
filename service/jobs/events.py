"""Events of jobs, for the clients that follow them."""

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
    """Adds an event to a job, in the transaction of the change that the event describes."""
    connection.execute(insert(job_events).values(job_id=job_id, type=kind.value, data=json.dumps(dict(data))))


def end_events(connection: Connection, job_id: str) -> None:
    """Adds the ``done`` event and deletes the job's previews: its pictures are stored by then."""
    connection.execute(
        delete(job_events).where(job_events.c.job_id == job_id, job_events.c.type == EventType.PREVIEW.value)
    )
    append(connection, job_id, EventType.DONE, {})


class EventLog:
    """Reads and writes events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, events: Collection[tuple[str, EventType, Json]]) -> None:
        """Adds several events in one transaction; each is a job's id, a type and the data."""
        with self._database.write() as connection:
            for job_id, kind, data in events:
                append(connection, job_id, kind, data)

    def latest(self, job_id: str) -> dict[EventType, JobEvent]:
        """Returns a job's last event of each type."""
        last = (
            select(func.max(job_events.c.id)).where(job_events.c.job_id == job_id).group_by(job_events.c.type)
        )
        with self._database.read() as connection:
            rows = connection.execute(select(job_events).where(job_events.c.id.in_(last)))
            events = [_event_of(row) for row in rows]
        return {event.type: event for event in events}

    def after(self, seen: Collection[tuple[str, int]], limit: int = 500) -> list[JobEvent]:
        """Returns new events of some jobs in order, for each job those after its last known event.

        Args:
            seen: each job's id with the id of its last known event.
            limit: the maximum number of events.
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
        """Returns the id of a job's newest event; 0 if there is none."""
        query = select(func.max(job_events.c.id)).where(job_events.c.job_id == job_id)
        with self._database.read() as connection:
            return connection.scalar(query) or 0


def _event_of(row: Row[Any]) -> JobEvent:
    """Returns a row's event. An unreadable row has empty data, since ``done`` must still be delivered."""
    try:
        return JobEvent(id=row.id, job_id=row.job_id, type=EventType(row.type), data=json.loads(row.data))
    except (ValueError, TypeError, RecursionError):
        _log.warning("event %d of job %s cannot be read", row.id, row.job_id)
        is_end = row.type == EventType.DONE.value
        return JobEvent(
            id=row.id, job_id=row.job_id, type=EventType.DONE if is_end else EventType.STATE, data={}
        )
