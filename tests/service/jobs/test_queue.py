from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from service.core.errors import Conflict, InvalidRequest, NotFound, QueueFull
from service.core.job_state import JobKind, JobState
from service.jobs.queue import JobQueue, delete_finished
from service.jobs.records import EventType, NewJob, QueueLimits

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=2.0, owner="ann")


def test_a_job_comes_back_as_it_was_handed_in(queue):
    job, is_new = queue.submit(replace(NEW, inputs={"image": "0" * 64}))
    assert is_new
    assert queue.get(job.id) == job
    assert (job.kind, job.state, job.owner, job.position) == (JobKind.GENERATE, JobState.QUEUED, "ann", 0)
    assert (dict(job.request), dict(job.inputs)) == (dict(NEW.request), {"image": "0" * 64})
    assert (job.attempts, job.result, job.problem, job.started_at) == (0, None, None, None)


def test_position_counts_the_jobs_that_wait_before(queue):
    ids = [queue.submit(NEW)[0].id for _ in range(3)]
    assert [queue.get(job).position for job in ids] == [0, 1, 2]
    assert queue.positions() == {job: i for i, job in enumerate(ids)}
    queue.cancel(ids[0])
    assert [queue.get(job).position for job in ids] == [None, 0, 1]


def test_another_owners_job_is_as_good_as_none(queue):
    job, _ = queue.submit(NEW)
    for call in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(NotFound) as refused:
            call(job.id, "bob")
        assert refused.value.code == "unknown_job"
    assert queue.get(job.id, "ann").state is JobState.QUEUED
    assert queue.page("bob", 10) == []


def test_pages_go_from_new_to_old_without_a_gap(queue):
    ids = [queue.submit(NEW)[0].id for _ in range(5)]
    first = queue.page("ann", 2)
    second = queue.page("ann", 2, before=first[-1].id)
    third = queue.page("ann", 2, before=second[-1].id)
    assert [job.id for job in (*first, *second, *third)] == ids[::-1]


def test_fifty_equal_posts_at_once_make_one_job(queue):
    new = replace(NEW, idempotency_key="k")
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda _: queue.submit(new), range(50)))
    assert len({job.id for job, _ in made}) == 1
    assert sum(is_new for _, is_new in made) == 1
    assert len(queue.page(None, 100)) == 1


def test_a_key_used_for_something_else_is_refused(queue):
    queue.submit(replace(NEW, idempotency_key="k"))
    with pytest.raises(InvalidRequest) as refused:
        queue.submit(replace(NEW, idempotency_key="k", request={"prompt": "a foot"}))
    assert refused.value.code == "idempotency_key_reused"
    job, is_new = queue.submit(replace(NEW, idempotency_key="k", owner="bob"))
    assert is_new, "keys of two owners never meet"
    assert job.owner == "bob"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (QueueLimits(cost=5.0, jobs=100, jobs_per_owner=100), "queue_full"),
        (QueueLimits(cost=1e9, jobs=2, jobs_per_owner=100), "queue_full"),
        (QueueLimits(cost=1e9, jobs=100, jobs_per_owner=2), "too_many_jobs"),
    ],
)
def test_more_than_may_wait_is_refused_and_not_written(database, limits, code):
    queue = JobQueue(database, limits)
    ids = [queue.submit(NEW)[0].id for _ in range(2)]
    with pytest.raises(QueueFull) as refused:
        queue.submit(NEW)
    assert refused.value.code == code
    assert [job.id for job in queue.page(None, 10)] == ids[::-1]
    queue.cancel(ids[0])
    queue.submit(NEW)


def test_an_empty_queue_takes_a_job_of_any_cost(database):
    queue = JobQueue(database, QueueLimits(cost=1.0, jobs=10, jobs_per_owner=10))
    queue.submit(replace(NEW, cost=50.0))
    with pytest.raises(QueueFull):
        queue.submit(replace(NEW, cost=0.1))


def test_cancelling_what_has_ended_changes_nothing(queue, leases):
    job, _ = queue.submit(NEW)
    worker = leases()
    worker.succeed(worker.claim(), {"id": job.id}, ())
    before = queue.get(job.id)
    assert queue.cancel(job.id) == before
    assert before.state is JobState.SUCCEEDED


def test_retry_asks_again_for_the_same_and_only_after_the_end(queue):
    job, _ = queue.submit(replace(NEW, idempotency_key="k"))
    with pytest.raises(Conflict):
        queue.retry(job.id)
    queue.cancel(job.id)
    again = queue.retry(job.id)
    assert again.id != job.id
    assert (again.request, again.inputs, again.owner) == (job.request, job.inputs, job.owner)
    assert again.state is JobState.QUEUED


def test_old_finished_jobs_are_forgotten_and_waiting_ones_never(queue, database):
    ended, _ = queue.submit(NEW)
    waits, _ = queue.submit(NEW)
    queue.cancel(ended.id)
    finished_at = queue.get(ended.id).finished_at
    assert delete_finished(database, finished_at) == []
    assert delete_finished(database, finished_at + 1e-3) == [ended.id]
    assert [job.id for job in queue.page(None, 10)] == [waits.id]


def test_every_state_is_told_and_the_last_word_is_done(queue, leases, database):
    from service.jobs.events import EventLog

    job, _ = queue.submit(NEW)
    worker, log = leases(), EventLog(database)
    lease = worker.claim()
    log.append([(job.id, EventType.PREVIEW, {"image": "…"}), (job.id, EventType.PROGRESS, {"done": 1})])
    worker.succeed(lease, {}, ())
    told = log.after([(job.id, 0)])
    assert [event.type.value for event in told] == ["state", "state", "progress", "done"]
    assert [event.id for event in told] == sorted({event.id for event in told})
    assert [event.id for event in log.after([(job.id, told[1].id)])] == [event.id for event in told[2:]]
