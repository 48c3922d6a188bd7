from __future__ import annotations

import threading
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select, update

from service.core.job_state import JobKind, JobState
from service.database.connect import Database
from service.database.schema import jobs, metadata
from service.jobs.leases import LeaseLost, Leases, leave, living_workers
from service.jobs.picture_owners import owns_image
from service.jobs.queue import JobQueue
from service.jobs.records import Lease, NewJob, WorkerFacts
from tests.service.jobs.conftest import LIMITS

NEW = NewJob(kind=JobKind.DETECT, request={"conf": None}, cost=1.0, owner="ann")
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
        lambda: slow.control(old),
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
    assert a.control(one).cancel
    assert not b.control(two).cancel
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
    facts = WorkerFacts(
        id="a", state="ready", seen_at=0.0, models=({"role": "generator"},), class_names=("hand",)
    )
    leases("a").tell(facts)
    (known,) = living_workers(database)
    assert (known.state, known.models, known.class_names) == ("ready", facts.models, facts.class_names)
    time.sleep(0.02)
    assert living_workers(database, silent_s=0.01) == []
    leases("a").leave()
    assert living_workers(database) == []


def test_leases_go_by_the_databases_clock(queue, leases, monkeypatch):
    queue.submit(NEW)
    assert leases("a").claim() is not None
    now = time.time()
    monkeypatch.setattr("service.jobs.leases.time.time", lambda: now + 3600)
    assert leases("b").claim() is None, "a machine whose clock goes fast takes nobody's job"


def test_a_job_that_cannot_be_read_fails_and_the_next_one_is_done(queue, leases, database):
    bad, good = (queue.submit(NEW)[0].id for _ in range(2))
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == bad).values(request="{no json"))
    assert leases().claim().job.id == good
    with database.read() as connection:
        assert connection.scalar(select(jobs.c.state).where(jobs.c.id == bad)) == "failed"


class WhateverHappens(RuleBasedStateMachine):
    """Workers come, go, die and come back late, in any order: a job ends once, and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://")
        with self.database.write() as connection:
            metadata.create_all(connection)
        self.queue = JobQueue(self.database, LIMITS)
        self.ended: dict[str, object] = {}
        self.ids: list[str] = []
        self.held: list[tuple[Leases, Lease]] = []
        self.dead: list[tuple[Leases, Lease]] = []

    @rule()
    def submit(self) -> None:
        self.ids.append(self.queue.submit(NEW)[0].id)

    @rule()
    def claim(self) -> None:
        worker = Leases(self.database, f"w{len(self.held)}-{len(self.dead)}", 60.0)
        lease = worker.claim()
        if lease is not None:
            self.held.append((worker, lease))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def die(self, data) -> None:
        worker, _ = self._one_of(data, self.held)
        leave(self.database, worker._worker)
        self.dead += [pair for pair in self.held if pair[0]._worker == worker._worker]
        self.held = [pair for pair in self.held if pair[0]._worker != worker._worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), end=st.sampled_from(["succeed", "fail", "give_back", "renew"]))
    def go_on(self, data, end) -> None:
        worker, lease = self._one_of(data, self.held)
        arguments = {"succeed": ({"n": len(self.ended)}, ()), "fail": ({"code": "x"},)}.get(end, ())
        getattr(worker, end)(lease, *arguments)
        if end != "renew":
            self.held.remove((worker, lease))

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def come_back_late(self, data) -> None:
        worker, lease = self._one_of(data, self.dead)
        job = self.queue.get(lease.job.id)
        if job.state is JobState.RUNNING and job.attempts == lease.job.attempts:
            worker.succeed(lease, {"by": "late"}, ())  # nobody else was given it meanwhile
            self.dead.remove((worker, lease))
        else:
            with pytest.raises(LeaseLost):
                worker.succeed(lease, {"by": "late"}, ())

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cancel(self, data) -> None:
        self.queue.cancel(self._one_of(data, self.ids))

    @invariant()
    def what_has_ended_stays_as_it_is(self) -> None:
        for job_id in self.ids:
            job = self.queue.get(job_id)
            end = (job.state, job.result, job.finished_at)
            if job.state.is_final:
                assert self.ended.setdefault(job_id, end) == end
            else:
                assert job_id not in self.ended

    def _one_of(self, data, those):
        return those[data.draw(st.integers(0, len(those) - 1))]

    def teardown(self) -> None:
        self.database.close()


TestWhateverHappens = WhateverHappens.TestCase
TestWhateverHappens.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
