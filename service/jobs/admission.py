"""Admission to the queue: limits on a job's size and on the share of the queue that one key may fill."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from service.core.errors import InvalidRequest, QueueFull
from service.core.job_state import JobKind
from service.database.schema import api_keys, jobs
from service.jobs.records import NewJob, QueueDepth, QueueLimits
from service.jobs.turns import QUEUED

_FEWER = {
    JobKind.GENERATE: "a smaller width, height, num_inference_steps, num_images, best_of or "
    "watch.max_restarts, or less repair",
    JobKind.REPAIR: "a smaller picture, or less of max_regions, strengths, seeds_per_attempt, "
    "num_inference_steps and methods",
    JobKind.DETECT: "a smaller picture",
}


class Room:
    """The queued jobs, counted once for a transaction that may add to them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.depth = queue_depth(connection)
        self._own: dict[str, QueueDepth] = {}
        self._has_others: dict[str, bool] = {}

    def own(self, owner: str) -> QueueDepth:
        """Returns the queue depth of one owner."""
        if owner not in self._own:
            self._own[owner] = queue_depth(self._connection, jobs.c.owner == owner)
        return self._own[owner]

    def has_others(self, owner: str) -> bool:
        """Returns True if another key is in force, so that jobs of other owners may arrive."""
        if owner not in self._has_others:
            query = select(api_keys.c.id).where(api_keys.c.id != owner, api_keys.c.revoked_at.is_(None))
            self._has_others[owner] = self._connection.execute(query.limit(1)).first() is not None
        return self._has_others[owner]

    def take(self, new: NewJob) -> None:
        """Counts one more job."""
        own = self.own(new.owner)
        self._own[new.owner] = QueueDepth(jobs=own.jobs + 1, cost=own.cost + new.cost)
        self.depth = QueueDepth(jobs=self.depth.jobs + 1, cost=self.depth.cost + new.cost)


def check_room(limits: QueueLimits, new: NewJob, room: Room) -> None:
    """Checks that a job may be added to the queue.

    An empty queue takes a job of any permitted cost: otherwise a large job could never run.

    Raises:
        InvalidRequest: ``job_too_large``: the job would be refused at any time.
        QueueFull: ``too_many_jobs`` of this owner, or ``queue_full``.
    """
    if new.cost > limits.cost_per_job:
        raise InvalidRequest(
            f"the job would take {new.cost:,.0f} megapixel steps, more than one job may",
            code="job_too_large",
            allowed={"megapixel_steps": limits.cost_per_job, "by": _FEWER[new.kind]},
        )
    depth, own = room.depth, room.own(new.owner)
    if own.jobs >= limits.jobs_per_owner:
        raise _too_many(own, {"jobs": limits.jobs_per_owner})
    if depth.jobs >= limits.jobs or (depth.jobs and depth.cost + new.cost > limits.cost):
        raise QueueFull(
            f"{depth.jobs} jobs are waiting: the queue is full", code="queue_full",
            allowed={"jobs": limits.jobs, "megapixel_steps": limits.cost},
        )  # fmt: skip
    if own.jobs and room.has_others(new.owner):
        _check_share(limits, new, depth, own)


def _check_share(limits: QueueLimits, new: NewJob, depth: QueueDepth, own: QueueDepth) -> None:
    """Checks that an owner leaves as much of the queue free as it holds, so that other owners find room.

    One owner can hold half of the queue at most and a second one a quarter; some room is always left.
    """
    free = QueueDepth(jobs=limits.jobs - depth.jobs, cost=limits.cost - depth.cost)
    if own.jobs >= free.jobs or own.cost + new.cost > free.cost:
        others = QueueDepth(jobs=depth.jobs - own.jobs, cost=depth.cost - own.cost)
        share = {"jobs": (limits.jobs - others.jobs) // 2, "megapixel_steps": (limits.cost - others.cost) / 2}
        raise _too_many(own, share)


def queue_depth(connection: Connection, *of: Any) -> QueueDepth:
    """Returns the depth of the queue, of all jobs or of those that match the conditions."""
    count, cost = connection.execute(
        select(func.count(), func.coalesce(func.sum(jobs.c.cost), 0.0)).where(QUEUED, *of)
    ).one()
    return QueueDepth(jobs=count, cost=cost)


def _too_many(own: QueueDepth, allowed: dict[str, float]) -> QueueFull:
    return QueueFull(
        f"{own.jobs} of your jobs are waiting, of {own.cost:,.0f} megapixel steps",
        code="too_many_jobs",
        allowed=allowed,
    )
