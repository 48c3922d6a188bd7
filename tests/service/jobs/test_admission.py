"""Tests what is let in: no job that is too large, and of no key so much that others find no room."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.core.errors import InvalidRequest, QueueFull
from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, QueueLimits
from service.keys.records import add_key, revoke_key

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)


def let_in(queue: JobQueue, new: NewJob, most: int = 100) -> int:
    """Returns how many of these are let in until one is refused."""
    for count in range(most):
        try:
            queue.submit(new)
        except QueueFull:
            return count
    return most


def test_a_key_leaves_room_for_the_next_one(database: Database):
    queue = JobQueue(database, QueueLimits(cost=1e6, jobs=20, jobs_per_owner=20))
    keys = [add_key(database, name)[0].id for name in ("ada", "bob", "cec")]
    assert [let_in(queue, replace(NEW, owner=key)) for key in keys] == [10, 5, 3]
    with pytest.raises(QueueFull) as refused:
        queue.submit(replace(NEW, owner=keys[0]))
    assert (refused.value.code, refused.value.allowed["jobs"]) == ("too_many_jobs", 6)


def test_nor_may_it_take_all_of_the_work(database: Database):
    queue = JobQueue(database, QueueLimits(cost=100.0, jobs=1000, jobs_per_owner=1000))
    ada, bob = (add_key(database, name)[0].id for name in ("ada", "bob"))
    assert let_in(queue, replace(NEW, owner=ada, cost=10.0)) == 5
    assert let_in(queue, replace(NEW, owner=bob, cost=50.0)) == 1


def test_a_key_that_is_alone_may_have_it_all(database: Database):
    queue = JobQueue(database, QueueLimits(cost=1e6, jobs=20, jobs_per_owner=20))
    ada, gone = (add_key(database, name)[0].id for name in ("ada", "gone"))
    revoke_key(database, gone)
    assert let_in(queue, replace(NEW, owner=ada)) == 20


def test_without_keys_there_is_nobody_to_leave_room_for(database: Database):
    assert let_in(JobQueue(database, QueueLimits(cost=1e6, jobs=20, jobs_per_owner=20)), NEW) == 20


def test_a_job_that_is_too_large_is_refused_at_any_time_with_what_is_allowed(database: Database):
    generous = JobQueue(database, QueueLimits(cost=100.0, jobs=20, jobs_per_owner=20))
    old, _ = generous.submit(replace(NEW, cost=60.0))
    generous.cancel(old.id)
    queue = JobQueue(database, QueueLimits(cost=100.0, jobs=20, jobs_per_owner=20, cost_per_job=50.0))
    for ask in (
        lambda: queue.submit(replace(NEW, cost=51.0)),
        lambda: queue.check(replace(NEW, cost=51.0)),
        lambda: queue.retry(old.id),
    ):
        with pytest.raises(InvalidRequest) as refused:
            ask()
        assert refused.value.code == "job_too_large"
        assert refused.value.allowed["megapixel_steps"] == 50.0
        assert "num_images" in refused.value.allowed["by"]
    assert queue.depth().jobs == 0
    queue.submit(replace(NEW, cost=50.0))
