"""Rows that are no jobs, and names that are no ids: told, and nothing else suffers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.core.errors import NotFound, Unreadable
from service.core.job_state import JobKind, JobState
from service.database.connect import Database
from service.database.schema import jobs
from service.jobs.inbox import needed_inputs
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0, owner="ann")
BROKEN = [("request", "{"), ("inputs", "[]"), ("kind", "paint"), ("state", "lost"), ("problem", "[" * 5000)]


@pytest.mark.parametrize("name", ["\0", "a" * 31 + "\0", "", "%00", "é", "A" * 32, "0" * 33])
def test_what_is_no_id_is_no_job(queue: JobQueue, name: str):
    for ask in (queue.get, queue.cancel, queue.retry, lambda before: queue.page("ann", 5, before)):
        with pytest.raises(NotFound) as refused:
            ask(name)
        assert refused.value.code == "unknown_job"


@pytest.mark.parametrize(("column", "value"), BROKEN)
def test_a_row_that_cannot_be_read_hides_no_other(
    database: Database, queue: JobQueue, column: str, value: str
):
    ids = [queue.submit(NEW)[0].id for _ in range(4)]
    with database.write() as connection:
        for broken in ids[1:3]:
            connection.execute(jobs.update().where(jobs.c.id == broken).values({column: value}))
    assert [job.id for job in queue.page("ann", 2)] == [ids[3], ids[0]]
    assert [job.id for job in queue.page("ann", 2, before=ids[3])] == [ids[0]]
    assert needed_inputs(database) == frozenset()
    with pytest.raises(Unreadable) as refused:
        queue.get(ids[1])
    assert ids[1] in refused.value.detail


def test_the_job_at_work_is_found_behind_any_number_of_newer_ones(queue: JobQueue, leases):
    at_work, _ = queue.submit(NEW)
    lease = leases().claim()
    for _ in range(60):
        queue.submit(NEW)
    queue.submit(replace(NEW, owner="bob"))
    job, count = queue.unfinished("ann")
    assert job is not None
    assert (job.id, job.state, count) == (at_work.id, JobState.RUNNING, 61)
    assert lease is not None
    assert queue.unfinished("cec") == (None, 0)


def test_all_jobs_of_an_owner_can_be_ended(queue: JobQueue, leases):
    worker = leases()
    ids = [queue.submit(NEW)[0].id for _ in range(3)]
    lease = worker.claim()
    other, _ = queue.submit(replace(NEW, owner="bob"))
    assert lease is not None
    assert sorted(queue.cancel_all_of({"ann"})) == sorted(ids)
    assert queue.cancel_all_of({"ann"}) == []
    assert worker.control(lease).cancel
    assert [queue.get(job_id).state.value for job_id in ids[1:]] == ["cancelled"] * 2
    assert queue.get(other.id).state is JobState.QUEUED
