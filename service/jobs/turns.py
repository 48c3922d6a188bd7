"""The order of queued jobs: the keys take turns, and each key's first job comes first.

Two things make the order: a job's place among the queued ones of its key, and the key's last turn, a number
that grows with each job that is started. The first jobs of all keys come first, beginning with the key that
was served longest ago, then their second ones, and so on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Select, Subquery, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.core.job_state import JobState
from service.database.schema import jobs, turns

QUEUED = jobs.c.state == JobState.QUEUED.value


def _ranked() -> Subquery:
    """Selects each queued job's number, and its place among its key's."""
    place = func.row_number().over(partition_by=jobs.c.owner, order_by=jobs.c.seq)
    return select(jobs.c.seq, place.label("place")).where(QUEUED).subquery("ranked")


def _in_turn() -> Select[Any]:
    ranked = _ranked()
    last_turn = func.coalesce(turns.c.number, 0)
    return (
        select(jobs)
        .join(ranked, ranked.c.seq == jobs.c.seq)
        .outerjoin(turns, turns.c.owner == jobs.c.owner)
        .where(QUEUED)  # repeated for the row itself: it is evaluated again once it is locked
        .order_by(ranked.c.place, last_turn, jobs.c.seq)
    )


IN_TURN = _in_turn()
"""Selects the rows of queued jobs, all columns, the next one first."""
_IDS_IN_TURN = IN_TURN.with_only_columns(jobs.c.id)


def positions(connection: Connection) -> dict[str, int]:
    """Returns the number of jobs before each queued one, by id."""
    return {job_id: before for before, job_id in enumerate(connection.scalars(_IDS_IN_TURN))}


def take_turn(connection: Connection, owner: str) -> None:
    """Moves a key behind all others, as one of its jobs is started."""
    number = select(func.coalesce(func.max(turns.c.number), 0) + 1).scalar_subquery()
    changed = connection.execute(update(turns).where(turns.c.owner == owner).values(number=number))
    if not changed.rowcount:
        # Another worker may have started the key's first job at the same moment: ignore it.
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(insert(turns).values(owner=owner, number=number))
