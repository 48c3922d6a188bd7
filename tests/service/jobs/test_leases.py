from __future__ import annotations

import random
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.database.connect import Database
from service.jobs.leases import LeaseLost, Leases, leave, living_workers
from service.jobs.pictures import owns_image
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, WorkerFacts
from service.report import JobKind, JobState
from tests.service.jobs.conftest import LIMITS

NEW = NewJob(JobKind.DETECT, {"conf": None}, cost=1.0, owner="ann")
PAST = -1.0


def test_jobs_are_given_out_in_order_and_once(queue, leases):
    ids = [queue.submit(NEW)[0].id for _ in range(3)]
    workers = [leases("a"), leases("b"), leases("c"), leases("d")]
    assert [worker.claim().job.id for worker in workers[:3]] == ids
    assert workers[3].claim() is None


def test_of_many_workers_at_once_each_gets_another_job(queue, leases):
    ids = {queue.submit(NEW)[0].id for _ in range(20)}
    got: list[str] = []

    def work(name: str) -> None:
        worker = leases(name)
        while (lease := worker.claim()) is not None:
            got.append(lease.job.id)

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 20
    assert set(got) == ids


def test_a_silent_workers_job_goes_to_another_and_its_own_result_is_refused(queue, leases):
    job, _ = queue.submit(NEW)
    slow, quick = leases("slow", PAST), leases("quick")
    old = slow.claim()
    new = quick.claim()
    assert (new.job.id, new.token) == (job.id, old.token + 1)
    for call in (
        lambda: slow.succeed(old, {"by": "slow"}, ["0" * 64]),
        lambda: slow.fail(old, {}),
        lambda: slow.cancel(old),
        lambda: slow.renew(old),
        lambda: slow.give_back(old),
        lambda: slow.is_wanted(old),
    ):
        with pytest.raises(LeaseLost):
            call()
    quick.succeed(new, {"by": "quick"}, ())
    assert queue.get(job.id).result == {"by": "quick"}
    with pytest.raises(LeaseLost):
        quick.succeed(new, {"by": "quick again"}, ())


def test_a_renewed_lease_is_kept(queue, leases):
    queue.submit(NEW)
    worker = leases("a", 0.3)
    lease = worker.claim()
    for _ in range(4):
        time.sleep(0.1)
        worker.renew(lease)
        assert leases("b").claim() is None


def test_a_job_that_kills_its_worker_three_times_fails_with_a_reason(queue, leases, database):
    job, _ = queue.submit(NEW)
    for attempt in range(3):
        assert leases(f"w{attempt}").claim().job.attempts == attempt + 1
        leave(database, f"w{attempt}")
    assert leases("w3").claim() is None
    failed = queue.get(job.id)
    assert failed.state is JobState.FAILED
    assert failed.problem["code"] == "worker_died"
    assert "3 times" in failed.problem["detail"]


def test_a_job_that_is_given_back_keeps_its_place_and_loses_no_attempt(queue, leases):
    first, second = (queue.submit(NEW)[0].id for _ in range(2))
    worker = leases()
    for _ in range(5):
        worker.give_back(worker.claim())
    lease = worker.claim()
    assert (lease.job.id, lease.job.attempts) == (first, 1)
    assert queue.get(second).position == 0


def test_cancelling_a_running_job_reaches_its_worker_and_nobody_elses(queue, leases):
    a, b = leases("a"), leases("b")
    queue.submit(NEW), queue.submit(NEW)
    one, two = a.claim(), b.claim()
    queue.cancel(one.job.id)
    assert not a.is_wanted(one)
    assert b.is_wanted(two)
    a.cancel(one)
    assert queue.get(one.job.id).state is JobState.CANCELLED
    assert queue.get(two.job.id).state is JobState.RUNNING


def test_a_job_cancelled_while_its_worker_died_is_not_begun_again(queue, leases, database):
    job, _ = queue.submit(NEW)
    leases("a").claim()
    queue.cancel(job.id)
    leave(database, "a")
    assert leases("b").claim() is None
    assert queue.get(job.id).state is JobState.CANCELLED


def test_pictures_belong_to_the_jobs_owner(queue, leases, database):
    queue.submit(NEW)
    worker = leases()
    worker.succeed(worker.claim(), {}, ["1" * 64, "1" * 64])
    assert owns_image(database, "1" * 64, "ann")
    assert not owns_image(database, "1" * 64, "bob")


def test_workers_are_known_while_they_are_heard_of(leases, database):
    facts = WorkerFacts("a", "ready", 0.0, ({"role": "generator"},), ("hand",))
    leases("a").tell(facts)
    (known,) = living_workers(database)
    assert (known.state, known.models, known.class_names) == ("ready", facts.models, facts.class_names)
    time.sleep(0.02)
    assert living_workers(database, silent_s=0.01) == []
    leases("a").leave()
    assert living_workers(database) == []


ACTIONS = ("submit", "claim", "expire", "succeed", "fail", "cancel", "give_back", "renew", "stale")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(ACTIONS), max_size=30), st.randoms(use_true_random=False))
def test_whatever_happens_a_job_ends_once_and_none_is_lost(actions, rng: random.Random):
    database = Database("sqlite://")
    database.migrate()
    queue, results, held, dead = JobQueue(database, LIMITS), {}, [], []
    for number, action in enumerate(actions):
        if action == "submit":
            results[queue.submit(NEW)[0].id] = None
        elif action == "claim":
            worker = Leases(database, f"w{number}", 60.0)
            lease = worker.claim()
            if lease is not None:
                held.append((worker, lease))
        elif action == "expire" and held:
            worker, lease = held.pop(rng.randrange(len(held)))
            leave(database, worker._worker)
            dead.append((worker, lease))
        elif action == "stale" and dead:
            worker, lease = rng.choice(dead)
            _only_if_held(queue, lease, lambda w=worker, one=lease: w.succeed(one, {"by": "stale"}, ()))
        elif action == "cancel" and results:
            queue.cancel(rng.choice(list(results)))
        elif action in ("succeed", "fail", "give_back", "renew") and held:
            worker, lease = held[rng.randrange(len(held))]
            arguments = {"succeed": ({"n": number}, ()), "fail": ({"code": "x"},)}.get(action, ())
            getattr(worker, action)(lease, *arguments)
            if action != "renew":
                held.remove((worker, lease))
        for job_id, ended in results.items():
            job = queue.get(job_id)
            if ended is not None:
                assert (job.state, job.result, job.finished_at) == ended, "what has ended stays as it is"
            elif job.state.is_final:
                results[job_id] = (job.state, job.result, job.finished_at)
    database.close()


def _only_if_held(queue, lease, call):
    """A worker given up for dead may still finish, as long as nobody else was given its job."""
    job = queue.get(lease.job.id)
    if job.state is JobState.RUNNING and job.attempts == lease.job.attempts:
        call()
    else:
        with pytest.raises(LeaseLost):
            call()
