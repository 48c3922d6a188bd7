"""The requests' side of the job table: submit, look, cancel, retry."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.exc import IntegrityError

from service.database.connect import Database
from service.database.schema import job_events, jobs
from service.errors import AnatomendError, Conflict, InvalidRequest, NotFound, QueueFull
from service.jobs.events import append, end_events
from service.jobs.records import EventType, Job, Json, Limits, NewJob, QueueDepth
from service.report import JobKind, JobState

SEED_BITS = 32
_QUEUED = jobs.c.state == JobState.QUEUED.value


class JobQueue:
    """The job table as those see it who ask for work."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Writes a job down; when this returns, it is safe from crashes.

        Returns:
            The job, and whether it is new: with an idempotency key that was seen before it is the old one.

        Raises:
            QueueFull: ``queue_full`` or ``too_many_jobs``; nothing was written.
            InvalidRequest: ``idempotency_key_reused`` with another request.
            DatabaseUnavailable: nothing was written.
        """
        answer = self.submit_all([new])[0]
        if isinstance(answer, AnatomendError):
            raise answer
        return answer

    def submit_all(self, news: Sequence[NewJob]) -> list[tuple[Job, bool] | QueueFull | InvalidRequest]:
        """Writes several jobs down in one transaction: many who ask at once cost one write to the disk.

        Returns:
            For each what ``submit`` gives or raises.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        try:
            with self._database.write() as connection:
                room = _Room(_depth(connection))
                return [self._submitted(connection, new, room) for new in news]
        except IntegrityError:  # another process was quicker with the key of one of them
            if len(news) > 1:
                return [answer for new in news for answer in self.submit_all([new])]
            with self._database.read() as connection:
                known = self._known(connection, news[0], fingerprint_of(news[0]))
            assert known is not None
            return [(known, False)]

    def _submitted(
        self, connection: Connection, new: NewJob, room: _Room
    ) -> tuple[Job, bool] | QueueFull | InvalidRequest:
        fingerprint = fingerprint_of(new)
        try:  # whatever is refused is refused before anything of it is written
            known = self._known(connection, new, fingerprint)
            if known is not None:
                return known, False
            self._admit(connection, new, room)
        except (QueueFull, InvalidRequest) as refusal:
            return refusal
        return self._insert(connection, new, fingerprint, room), True

    def get(self, job_id: str, owner: str | None = None) -> Job:
        """One job.

        Args:
            owner: whose it must be; anybody's if None.

        Raises:
            NotFound: ``unknown_job``, also for somebody else's.
        """
        with self._database.read() as connection:
            return _get(connection, job_id, owner)

    def page(self, owner: str | None, limit: int, before: str | None = None) -> list[Job]:
        """Jobs, newest first; those older than the job ``before``, if it is given.

        Raises:
            NotFound: if there is no job ``before``.
        """
        with self._database.read() as connection:
            query = select(jobs).order_by(jobs.c.seq.desc()).limit(limit)
            if owner is not None:
                query = query.where(jobs.c.owner == owner)
            if before is not None:
                query = query.where(jobs.c.seq < _get(connection, before, owner).seq)
            return [job_of(connection, row) for row in connection.execute(query)]

    def cancel(self, job_id: str, owner: str | None = None) -> Job:
        """Ends a queued job at once, asks a running one to end, and leaves a finished one as it is.

        Raises:
            NotFound: ``unknown_job``.
        """
        with self._database.write() as connection:
            # Locked, or a worker could take the job and end it between this look and the change.
            job = _get(connection, job_id, owner, lock=True)
            if job.state is JobState.QUEUED:
                values: dict[str, Any] = {"state": JobState.CANCELLED.value, "finished_at": time.time()}
                connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
                end_events(connection, job_id)
            elif job.state is JobState.RUNNING:
                connection.execute(update(jobs).where(jobs.c.id == job_id).values(cancel_requested=True))
            return _get(connection, job_id, owner)

    def attend(self, job_id: str) -> None:
        """Notes that somebody looks on while a job is done: only then are there previews of it."""
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(attended=True))

    def retry(self, job_id: str, owner: str | None = None) -> Job:
        """Asks again for what a finished job was asked for, as a new job.

        Raises:
            NotFound: ``unknown_job``.
            Conflict: ``job_not_finished``.
            QueueFull: as ``submit``.
        """
        with self._database.write() as connection:
            old = _get(connection, job_id, owner)
            if not old.state.is_final:
                raise Conflict(
                    f"the job is {old.state.value}", code="job_not_finished", allowed="a final state"
                )
            cost = connection.scalar(select(jobs.c.cost).where(jobs.c.id == job_id))
            again = NewJob(old.kind, old.request, cost or 0.0, old.owner, old.inputs)
            room = _Room(_depth(connection))
            self._admit(connection, again, room)
            return self._insert(connection, again, fingerprint_of(again), room)

    def depth(self) -> QueueDepth:
        """What waits now, of all owners."""
        with self._database.read() as connection:
            return _depth(connection)

    def positions(self) -> dict[str, int]:
        """How many jobs are before each one that waits, by id."""
        with self._database.read() as connection:
            ids = connection.scalars(select(jobs.c.id).where(_QUEUED).order_by(jobs.c.seq))
            return {job_id: before for before, job_id in enumerate(ids)}

    def is_full(self, depth: QueueDepth) -> bool:
        """Whether nothing more of any size would be let in."""
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

    def _admit(self, connection: Connection, new: NewJob, room: _Room) -> None:
        """An empty queue takes a job of any cost, or a large one could never be done."""
        limits, depth, own = self._limits, room.depth, room.own(connection, new.owner)
        if own >= limits.jobs_per_owner:
            raise QueueFull(
                f"{own} of your jobs are waiting",
                code="too_many_jobs",
                allowed={"jobs": limits.jobs_per_owner},
            )
        if depth.jobs >= limits.jobs or (depth.jobs and depth.cost + new.cost > limits.cost):
            raise QueueFull(
                f"{depth.jobs} jobs are waiting: the queue is full", code="queue_full",
                allowed={"jobs": limits.jobs, "megapixel_steps": limits.cost},
            )  # fmt: skip

    def _insert(self, connection: Connection, new: NewJob, fingerprint: str, room: _Room) -> Job:
        job_id = uuid.uuid4().hex
        connection.execute(
            jobs.insert().values(
                id=job_id,
                kind=new.kind.value,
                state=JobState.QUEUED.value,
                owner=new.owner,
                request=json.dumps(dict(_with_seed(new.request))),
                inputs=json.dumps(dict(new.inputs)),
                cost=new.cost,
                idempotency_key=new.idempotency_key,
                fingerprint=fingerprint,
                created_at=time.time(),
                attempts=0,
                lease_token=0,
                lease_until=0.0,
                cancel_requested=False,
                attended=False,
            )
        )
        append(connection, job_id, EventType.STATE, {"state": JobState.QUEUED.value})
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
        return job_of(connection, row, before=room.take(new))


class _Room:
    """What waits, counted once for a transaction that may add to it."""

    def __init__(self, depth: QueueDepth) -> None:
        self.depth = depth
        self._own: dict[str, int] = {}

    def own(self, connection: Connection, owner: str) -> int:
        """How many of an owner's jobs wait."""
        if owner not in self._own:
            query = select(func.count()).where(_QUEUED, jobs.c.owner == owner)
            self._own[owner] = connection.scalar(query) or 0
        return self._own[owner]

    def take(self, new: NewJob) -> int:
        """Counts one more; returns how many were before it."""
        before = self.depth.jobs
        self.depth = QueueDepth(before + 1, self.depth.cost + new.cost)
        if new.owner in self._own:
            self._own[new.owner] += 1
        return before


def fingerprint_of(new: NewJob) -> str:
    """A hash by which two requests are told apart."""
    content = json.dumps([new.kind.value, dict(new.request), dict(new.inputs)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _with_seed(request: Json) -> Json:
    """Chooses the seed before the job is written down: one that is begun again makes the same picture."""
    if "seed" not in request or request["seed"] is not None:
        return request
    return {**request, "seed": secrets.randbits(SEED_BITS)}


def job_of(connection: Connection, row: Row[Any], before: int | None = None) -> Job:
    """The record of a row of the table; ``before`` jobs wait before it, counted if it is not told."""
    state = JobState(row.state)
    position = before if state is JobState.QUEUED else None
    if state is JobState.QUEUED and before is None:
        position = connection.scalar(select(func.count()).where(_QUEUED, jobs.c.seq < row.seq))
    return Job(
        seq=row.seq,
        id=row.id,
        kind=JobKind(row.kind),
        state=state,
        owner=row.owner,
        request=json.loads(row.request),
        inputs=json.loads(row.inputs),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        cancel_requested=row.cancel_requested,
        position=position,
        result=json.loads(row.result) if row.result else None,
        problem=json.loads(row.problem) if row.problem else None,
    )


def _get(connection: Connection, job_id: str, owner: str | None, lock: bool = False) -> Job:
    query: Select[Any] = select(jobs).where(jobs.c.id == job_id)
    if lock:
        query = query.with_for_update()
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no job of this id", code="unknown_job", allowed="the id of a job of yours")
    return job_of(connection, row)


def _depth(connection: Connection) -> QueueDepth:
    count, cost = connection.execute(
        select(func.count(), func.coalesce(func.sum(jobs.c.cost), 0.0)).where(_QUEUED)
    ).one()
    return QueueDepth(count, cost)


def delete_finished(database: Database, before: float) -> Sequence[str]:
    """Forgets jobs that ended before a time, and all that was told of them; returns their ids."""
    final = [state.value for state in JobState if state.is_final]
    with database.write() as connection:
        old = select(jobs.c.id).where(jobs.c.state.in_(final), jobs.c.finished_at < before)
        ids = list(connection.scalars(old))
        for job_id in ids:
            connection.execute(job_events.delete().where(job_events.c.job_id == job_id))
            connection.execute(jobs.delete().where(jobs.c.id == job_id))
        return ids
