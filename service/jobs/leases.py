"""Leases on jobs, the workers' side of the job table: claim, renew, finish.

A fencing token keeps a worker that lost its lease from overwriting the job.

Leases are timed by the database's clock, so machines that share the database need no common time.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.core.errors import Unreadable
from service.core.job_state import JobState
from service.database.connect import Database
from service.database.schema import image_owners, jobs, workers
from service.jobs.events import append, end_events
from service.jobs.records import EventType, Job, JobControl, Json, Lease, WorkerFacts
from service.jobs.rows import job_of
from service.jobs.turns import IN_TURN, QUEUED, take_turn

LEASE_S = 15.0
MAX_ATTEMPTS = 3

_log = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another worker has the job now, or it has ended: this worker's results must be dropped."""


class Leases:
    """The job table as a worker sees it."""

    def __init__(self, database: Database, worker: str, lease_s: float = LEASE_S) -> None:
        self._database = database
        self._worker = worker
        self._lease_s = lease_s
        # Built once, since building these statements takes longer than running them.
        silent = (jobs.c.state == JobState.RUNNING.value) & (jobs.c.lease_until < database.now)
        self._is_any_open = select(exists().where(or_(QUEUED, silent)))
        self._first = tuple(
            query.limit(1).with_for_update(skip_locked=True, of=jobs)
            for query in (select(jobs).where(silent).order_by(jobs.c.seq), IN_TURN)
        )

    def claim(self) -> Lease | None:
        """Leases a job whose worker went silent, or else the next queued one (see ``turns``); None if idle.

        A job that was started three times and never ended is failed: it probably kills its workers.
        """
        with self._database.read() as connection:  # free of charge while there is nothing to do
            if not connection.scalar(self._is_any_open):
                return None
        with self._database.write() as connection:
            while True:
                row = self._next(connection)
                if row is None:
                    return None
                try:
                    job = job_of(connection, row, before=0)
                except Unreadable as error:  # otherwise no worker would reach the jobs behind it
                    _log.error("job %s cannot be read and is given up", row.id, exc_info=error)
                    _end(connection, row.id, JobState.FAILED, problem=_told(error))
                    continue
                if job.cancel_requested:
                    _end(connection, job.id, JobState.CANCELLED)
                elif job.attempts >= MAX_ATTEMPTS:
                    _end(connection, job.id, JobState.FAILED, problem=_killed_its_workers())
                else:
                    take_turn(connection, job.owner)
                    return self._take(connection, job, row.lease_token + 1, row.cost)

    def version(self) -> int | None:
        """Returns ``Database.version``, for the thread that claims and works."""
        return self._database.version()

    def control(self, lease: Lease) -> JobControl:
        """Returns the control flags of the job.

        Raises:
            LeaseLost: if this worker no longer holds the job.
        """
        query = select(jobs.c.cancel_requested, jobs.c.attended).where(*self._held(lease))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise LeaseLost
        return JobControl(row.cancel_requested, row.attended)

    def renew(self, lease: Lease) -> None:
        """Renews a lease.

        Raises:
            LeaseLost: if this worker no longer holds the job.
        """
        with self._database.write() as connection:
            self._change(connection, lease, {"lease_until": self._database.now + self._lease_s})

    def succeed(self, lease: Lease, result: Json, images: Collection[str]) -> None:
        """Ends a job with its result, and records the owner of its pictures.

        Raises:
            LeaseLost: if this worker no longer holds the job; nothing was written.
        """
        with self._database.write() as connection:
            ended = _ended(JobState.SUCCEEDED) | {"result": json.dumps(dict(result))}
            self._change(connection, lease, ended)
            _own(connection, images, lease.job.owner)
            end_events(connection, lease.job.id)

    def fail(self, lease: Lease, problem: Json) -> None:
        """Ends a job that cannot be done.

        Raises:
            LeaseLost: if this worker no longer holds the job; nothing was written.
        """
        with self._database.write() as connection:
            self._change(connection, lease, _ended(JobState.FAILED, problem))
            end_events(connection, lease.job.id)

    def cancel(self, lease: Lease) -> None:
        """Ends a job that was cancelled.

        Raises:
            LeaseLost: if this worker no longer holds the job; nothing was written.
        """
        with self._database.write() as connection:
            self._change(connection, lease, _ended(JobState.CANCELLED))
            end_events(connection, lease.job.id)

    def give_back(self, lease: Lease) -> None:
        """Requeues an unfinished job at its place and does not count the attempt: it was not the job's fault.

        Raises:
            LeaseLost: if this worker no longer holds the job; nothing was written.
        """
        with self._database.write() as connection:
            values = {"state": JobState.QUEUED.value, "lease_until": 0.0, "attempts": lease.job.attempts - 1}
            self._change(connection, lease, values)
            append(connection, lease.job.id, EventType.STATE, {"state": JobState.QUEUED.value})

    def tell(self, facts: WorkerFacts) -> None:
        """Writes the facts of this worker and the time of this sign of life."""
        about = {
            "models": facts.models,
            "class_names": facts.class_names,
            "problem": facts.problem,
            "gpu": facts.gpu,
        }
        with self._database.write() as connection:
            connection.execute(delete(workers).where(workers.c.id == self._worker))
            connection.execute(
                insert(workers).values(
                    id=self._worker, state=facts.state, seen_at=self._database.now, facts=json.dumps(about)
                )
            )

    def leave(self) -> None:
        """Removes this worker from the table; its job can be leased by another one at once."""
        leave(self._database, self._worker)

    def _next(self, connection: Connection) -> Any:
        for query in self._first:
            if (row := connection.execute(query).first()) is not None:
                return row
        return None

    def _take(self, connection: Connection, job: Job, token: int, cost: float) -> Lease:
        begun = replace(
            job, state=JobState.RUNNING, position=None, started_at=time.time(), attempts=job.attempts + 1
        )
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job.id)
            .values(
                state=begun.state.value,
                worker=self._worker,
                lease_token=token,
                lease_until=self._database.now + self._lease_s,
                started_at=begun.started_at,
                attempts=begun.attempts,
            )
        )
        append(connection, job.id, EventType.STATE, {"state": begun.state.value})
        return Lease(begun, token, cost)

    def _held(self, lease: Lease) -> tuple[Any, ...]:
        return (
            jobs.c.id == lease.job.id,
            jobs.c.lease_token == lease.token,
            jobs.c.state == JobState.RUNNING.value,
        )

    def _change(self, connection: Connection, lease: Lease, values: dict[str, Any]) -> None:
        # The worker is set again so that there is always a column to set, and a row to count.
        values = {"worker": self._worker, **values}
        if connection.execute(update(jobs).where(*self._held(lease)).values(values)).rowcount != 1:
            raise LeaseLost


def leave(database: Database, worker: str) -> None:
    """Removes a worker from the table and frees its job; called by the keeper of a worker that died."""
    with database.write() as connection:
        connection.execute(delete(workers).where(workers.c.id == worker))
        connection.execute(
            update(jobs)
            .where(jobs.c.worker == worker, jobs.c.state == JobState.RUNNING.value)
            .values(lease_until=0.0)
        )


def living_workers(database: Database, silent_s: float = LEASE_S) -> list[WorkerFacts]:
    """Returns the workers that reported within the last ``silent_s`` seconds."""
    with database.read() as connection:
        rows = connection.execute(select(workers).where(workers.c.seen_at > database.now - silent_s))
        return [_facts_of(row) for row in rows]


def _facts_of(row: Any) -> WorkerFacts:
    about = json.loads(row.facts)
    return WorkerFacts(
        id=row.id,
        state=row.state,
        seen_at=row.seen_at,
        models=tuple(about["models"]),
        class_names=tuple(about["class_names"]),
        problem=about["problem"],
        gpu=tuple(about.get("gpu", ())),
    )


def _ended(state: JobState, problem: Json | None = None) -> dict[str, Any]:
    """Returns the column values of a job that has ended."""
    return {
        "state": state.value,
        "finished_at": time.time(),
        "lease_until": 0.0,
        "problem": json.dumps(dict(problem)) if problem else None,
    }


def _end(connection: Connection, job_id: str, state: JobState, problem: Json | None = None) -> None:
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(_ended(state, problem)))
    end_events(connection, job_id)


def _own(connection: Connection, images: Collection[str], owner: str) -> None:
    now = time.time()
    rows = [{"sha256": sha256, "owner": owner, "created_at": now} for sha256 in sorted(set(images))]
    if rows:  # the same picture may have been made for the same owner before
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(image_owners).on_conflict_do_nothing(), rows)


def _told(error: Unreadable) -> Json:
    return {
        "error": type(error).__name__,
        "code": error.code,
        "detail": error.detail,
        "allowed": error.allowed,
    }


def _killed_its_workers() -> Json:
    return {
        "code": "worker_died",
        "detail": f"the worker died or hung {MAX_ATTEMPTS} times while it was at this job",
        "status": 500,
    }
