"""Keys take turns, each key's jobs come in order, and positions say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.core.job_state import JobKind, JobState
from service.database.connect import Database
from service.database.schema import jobs
from service.jobs.leases import Leases
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)


def handed_in(queue: JobQueue, owners: str) -> list[str]:
    """A job of each owner, in this order; their ids."""
    answers = queue.submit_all([replace(NEW, owner=owner) for owner in owners])
    return [answer[0].id for answer in answers if isinstance(answer, tuple)]


def claimed(worker: Leases, count: int) -> list[str]:
    """The ids of the next jobs, in the order in which a worker is given them; each is done."""
    ids = []
    for _ in range(count):
        lease = worker.claim()
        assert lease is not None
        ids.append(lease.job.id)
        worker.succeed(lease, {}, ())
    return ids


def owners_of(queue: JobQueue, ids: list[str]) -> str:
    return "".join(queue.get(job_id).owner for job_id in ids)


def test_another_keys_first_job_waits_for_one_at_most(queue: JobQueue, leases: Callable[..., Leases]):
    handed_in(queue, "a" * 30)
    worker = leases()
    assert owners_of(queue, claimed(worker, 3)) == "aaa"
    (late,) = handed_in(queue, "b")
    assert queue.get(late).position == 0
    assert claimed(worker, 1) == [late]
    later, _ = queue.submit(replace(NEW, owner="b"))
    assert later.position == 1, "its key was just served"
    assert claimed(worker, 2)[1] == later.id


def test_keys_take_turns_and_each_keys_jobs_come_in_order(queue: JobQueue, leases: Callable[..., Leases]):
    ids = handed_in(queue, "aaaabbc")
    got = claimed(leases(), len(ids))
    assert owners_of(queue, got) == "abcabaa"
    for owner in "abc":
        assert [i for i in got if queue.get(i).owner == owner] == [
            i for i in ids if queue.get(i).owner == owner
        ]


@pytest.mark.parametrize("owners", ["aaaa", "aaabbbc", "cabacbb"])
def test_positions_tell_in_which_order_jobs_will_be_done(
    queue: JobQueue, leases: Callable[..., Leases], owners: str
):
    worker = leases()
    handed_in(queue, "ba")
    claimed(worker, 1)
    handed_in(queue, owners)
    told = queue.positions()
    assert {job.id: job.position for job in queue.page(None, 50) if job.position is not None} == told
    assert claimed(worker, len(told)) == sorted(told, key=told.__getitem__)


def test_a_job_whose_worker_died_goes_before_all_that_wait(queue: JobQueue, leases: Callable[..., Leases]):
    handed_in(queue, "ab")
    dead = leases("dead", -1.0).claim()
    assert dead is not None
    again = leases().claim()
    assert again is not None
    assert again.job.id == dead.job.id


@pytest.mark.parametrize("column", ["request", "inputs", "kind"])
def test_a_job_that_cannot_be_read_is_given_up_and_the_next_is_done(
    database: Database, queue: JobQueue, leases: Callable[..., Leases], column: str
):
    broken, good = handed_in(queue, "aa")
    with database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.id == broken).values({column: "{"}))
    lease = leases().claim()
    assert lease is not None
    assert lease.job.id == good
    with database.read() as connection:
        state = connection.scalar(jobs.select().with_only_columns(jobs.c.state).where(jobs.c.id == broken))
    assert state == JobState.FAILED.value
