"""The job table for requests: submit, read, cancel, retry."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, case, func, select, update
from sqlalchemy.exc import IntegrityError

from service.core.errors import AnatomendError, Conflict, InvalidRequest, QueueFull
from service.core.job_state import JobState
from service.core.requests import new_seed
from service.database.connect import Database, in_pieces
from service.database.schema import job_events, jobs
from service.jobs.admission import Room, check_room, queue_depth
from service.jobs.events import append, end_events
from service.jobs.records import EventType, Job, Json, NewJob, QueueDepth, QueueLimits
from service.jobs.rows import job_of, readable, row_of
from service.jobs.turns import positions

_LOOKED_AT = 10
"""The number of rows to search where one readable row is enough."""
_CANCELLED_AT_ONCE = 100
"""The number of jobs per transaction, so that others can write in between."""
_UNFINISHED = [state.value for state in JobState if not state.is_final]


class JobQueue:
    """The job table for those who submit jobs."""

    def __init__(self, database: Database, limits: QueueLimits) -> None:
        self._database = database
        self._limits = limits

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Writes a job to the table; once this returns, the job survives a crash.

        Returns:
            The job, and whether it is new: a repeated idempotency key gives the earlier job.

        Raises:
            QueueFull: ``queue_full`` or ``too_many_jobs``; nothing was written.
            InvalidRequest: ``job_too_large``, or ``idempotency_key_reused`` with another request.
            DatabaseUnavailable: nothing was written.
        """
        answer = self.submit_all([new])[0]
        if isinstance(answer, AnatomendError):
            raise answer
        return answer

    def submit_all(self, news: Sequence[NewJob]) -> list[tuple[Job, bool] | QueueFull | InvalidRequest]:
        """Writes several jobs in one transaction: many concurrent requests cost one write to the disk.

        Returns:
            For each job what ``submit`` returns or raises.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        try:
            with self._database.write() as connection:
                room = Room(connection)
                return _placed(connection, [self._submitted(connection, new, room) for new in news])
        except IntegrityError:  # another process wrote one of the idempotency keys first
            if len(news) > 1:
                return [answer for new in news for answer in self.submit_all([new])]
            with self._database.read() as connection:
                known = self._known(connection, news[0], fingerprint_of(news[0]))
            assert known is not None
            return [(known, False)]

    def check(self, new: NewJob) -> None:
        """Checks that ``submit`` would find room for the job, before anything is stored for it.

        Raises:
            QueueFull, InvalidRequest: as ``submit``.
        """
        with self._database.read() as connection:
            check_room(self._limits, new, Room(connection))

    def _submitted(
        self, connection: Connection, new: NewJob, room: Room
    ) -> tuple[Job, bool] | QueueFull | InvalidRequest:
        fingerprint = fingerprint_of(new)
        try:  # refusals come before any write
            known = self._known(connection, new, fingerprint)
            if known is not None:
                return known, False
            check_room(self._limits, new, room)
        except (QueueFull, InvalidRequest) as refusal:
            return refusal
        return self._insert(connection, new, fingerprint, room), True

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """Returns one job.

        Args:
            owner: the required owner; None for any.

        Raises:
            NotFound: ``unknown_job``, also for a job of another owner.
        """
        with self._database.read() as connection:
            return _get(connection, job_id, owner)

    def page(self, owner: str | None, limit: int, before: str | None = None) -> list[Job]:
        """Returns jobs, newest first; only those older than the job ``before``, if it is given.

        Raises:
            NotFound: if there is no job ``before``.
        """
        found: list[Job] = []
        with self._database.read() as connection:
            query = select(jobs).order_by(jobs.c.seq.desc())
            if owner is not None:
                query = query.where(jobs.c.owner == owner)
            last = None if before is None else row_of(connection, before, owner).seq
            while len(found) < limit:  # an unreadable row must not hide the rows below it
                older = query if last is None else query.where(jobs.c.seq < last)
                rows = connection.execute(older.limit(limit - len(found))).all()
                if not rows:
                    break
                last = rows[-1].seq
                found += readable(connection, rows)
        return found

    def unfinished(self, owner: str) -> tuple[Job | None, int]:
        """Returns an owner's running or next job, and the number of its unfinished jobs."""
        with self._database.read() as connection:
            mine = (jobs.c.owner == owner) & jobs.c.state.in_(_UNFINISHED)
            count = connection.scalar(select(func.count()).where(mine)) or 0
            waits = case((jobs.c.state == JobState.RUNNING.value, 0), else_=1)
            rows = connection.execute(select(jobs).where(mine).order_by(waits, jobs.c.seq).limit(_LOOKED_AT))
            return next(readable(connection, rows), None), count

    def ended(self, job_ids: Collection[str]) -> list[str]:
        """Returns the ids of those jobs that have ended."""
        final = jobs.c.state.not_in(_UNFINISHED)
        with self._database.read() as connection:
            return [
                job_id
                for some in in_pieces(job_ids)
                for job_id in connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(some), final))
            ]

    def cancel_all_of(self, owners: Collection[str]) -> list[str]:
        """Cancels the queued and running jobs of some owners; returns the ids of those jobs."""
        if not owners:
            return []
        theirs = jobs.c.owner.in_(sorted(owners)) & jobs.c.state.in_(_UNFINISHED)
        with self._database.read() as connection:
            job_ids = list(connection.scalars(select(jobs.c.id).where(theirs, ~jobs.c.cancel_requested)))
        for some in in_pieces(job_ids, _CANCELLED_AT_ONCE):
            with self._database.write() as connection:
                for job_id in some:
                    _cancel(connection, row_of(connection, job_id, None, lock=True))
        return job_ids

    def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Ends a queued job at once, asks a running one to end, and leaves a finished one as it is.

        Raises:
            NotFound: ``unknown_job``.
        """
        with self._database.write() as connection:
            # Locked, or a worker could claim and end the job between this read and the change.
            _cancel(connection, row_of(connection, job_id, owner, lock=True))
            return _get(connection, job_id, owner)

    def attend(self, job_id: str) -> None:
        """Records that a client follows a running job: only then are there previews of it."""
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(attended=True))

    def retry(self, job_id: str, owner: str | None = None) -> Job:
        """Submits the request of a finished job again, as a new job.

        Raises:
            NotFound: ``unknown_job``.
            Conflict: ``job_not_finished``.
            QueueFull, InvalidRequest: as ``submit``.
        """
        with self._database.write() as connection:
            old = _get(connection, job_id, owner)
            if not old.state.is_final:
                raise Conflict(
                    f"the job is {old.state.value}", code="job_not_finished", allowed="a final state"
                )
            cost = connection.scalar(select(jobs.c.cost).where(jobs.c.id == job_id))
            again = NewJob(
                kind=old.kind, request=old.request, cost=cost or 0.0, owner=old.owner, inputs=old.inputs
            )
            room = Room(connection)
            check_room(self._limits, again, room)
            job = self._insert(connection, again, fingerprint_of(again), room)
            return replace(job, position=positions(connection)[job.id])

    def depth(self) -> QueueDepth:
        """Returns the depth of the queue, of all owners."""
        with self._database.read() as connection:
            return queue_depth(connection)

    def positions(self) -> dict[str, int]:
        """Returns the number of jobs before each queued one, by id."""
        with self._database.read() as connection:
            return positions(connection)

    def is_full(self, depth: QueueDepth) -> bool:
        """Returns True if no further job of any size would be admitted."""
        return depth.jobs >= self._limits.jobs or depth.cost >= self._limits.cost

    def _known(self, connection: Connection, new: NewJob, fingerprint: str) -> Job | None:
        if new.idempotency_key is None:
            return None
        row = connection.execute(
            select(jobs).where(jobs.c.owner == new.owner, jobs.c.idempotency_key == new.idempotency_key)
        ).one_or_none()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise InvalidRequest(
                "this Idempotency-Key was used for another request", code="idempotency_key_reused",
                allowed="the same request again, or a new key",
            )  # fmt: skip
        return job_of(connection, row)

    def _insert(self, connection: Connection, new: NewJob, fingerprint: str, room: Room) -> Job:
        job_id, now = uuid.uuid4().hex, time.time()
        request, inputs = dict(_with_seed(new.request)), dict(new.inputs)
        written = connection.execute(
            jobs.insert().values(
                id=job_id,
                kind=new.kind.value,
                state=JobState.QUEUED.value,
                owner=new.owner,
                request=json.dumps(request),
                inputs=json.dumps(inputs),
                cost=new.cost,
                idempotency_key=new.idempotency_key,
                fingerprint=fingerprint,
                created_at=now,
                attempts=0,
                lease_token=0,
                lease_until=0.0,
                cancel_requested=False,
                attended=False,
            )
        )
        append(connection, job_id, EventType.STATE, {"state": JobState.QUEUED.value})
        room.take(new)
        assert written.inserted_primary_key is not None
        return Job(
            seq=written.inserted_primary_key[0],
            id=job_id,
            kind=new.kind,
            state=JobState.QUEUED,
            owner=new.owner,
            request=request,
            inputs=inputs,
            created_at=now,
            started_at=None,
            finished_at=None,
            attempts=0,
            cancel_requested=False,
            position=None,
            result=None,
            problem=None,
        )


def _placed(
    connection: Connection, answers: list[tuple[Job, bool] | QueueFull | InvalidRequest]
) -> list[tuple[Job, bool] | QueueFull | InvalidRequest]:
    """Adds the queue positions of new jobs, which are known only once all are written."""
    if not any(isinstance(answer, tuple) and answer[1] for answer in answers):
        return answers
    before = positions(connection)
    return [
        (replace(answer[0], position=before[answer[0].id]), True)
        if isinstance(answer, tuple) and answer[1]
        else answer
        for answer in answers
    ]


def fingerprint_of(new: NewJob) -> str:
    """Returns a hash that tells two requests apart."""
    content = json.dumps([new.kind.value, dict(new.request), dict(new.inputs)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _with_seed(request: Json) -> Json:
    """Chooses the seed before the job is written: a job that is restarted makes the same picture."""
    if "seed" not in request or request["seed"] is not None:
        return request
    return {**request, "seed": new_seed()}


def _get(connection: Connection, job_id: str, owner: str | None, lock: bool = False) -> Job:
    return job_of(connection, row_of(connection, job_id, owner, lock))


def _cancel(connection: Connection, row: Row[Any]) -> None:
    this = update(jobs).where(jobs.c.id == row.id)
    if row.state == JobState.QUEUED.value:
        connection.execute(this.values(state=JobState.CANCELLED.value, finished_at=time.time()))
        end_events(connection, row.id)
    elif row.state == JobState.RUNNING.value:
        connection.execute(this.values(cancel_requested=True))


def delete_finished(database: Database, before: float) -> Sequence[str]:
    """Deletes jobs that ended before a time, with their events; returns their ids."""
    final = [state.value for state in JobState if state.is_final]
    with database.write() as connection:
        old = select(jobs.c.id).where(jobs.c.state.in_(final), jobs.c.finished_at < before)
        ids = list(connection.scalars(old))
        for job_id in ids:
            connection.execute(job_events.delete().where(job_events.c.job_id == job_id))
            connection.execute(jobs.delete().where(jobs.c.id == job_id))
        return ids
