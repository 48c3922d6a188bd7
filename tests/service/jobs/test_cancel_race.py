from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.serving import until
from service.core.job_state import JobKind, JobState
from service.jobs.leases import Leases
from service.jobs.records import NewJob

NEW = NewJob(kind=JobKind.DETECT, request={"conf": None}, cost=0.001)


@contextmanager
def working(*workers: Leases) -> Iterator[None]:
    """Workers that end each job as they should: cancelled if that was asked for, else succeeded."""
    over = threading.Event()

    def work(worker: Leases) -> None:
        while not over.is_set():
            lease = worker.claim()
            if lease is None:
                continue
            if not worker.control(lease).cancel:
                worker.succeed(lease, {"of": lease.job.id}, ())
            else:
                worker.cancel(lease)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("rounds", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_cancelling_one_job_while_jobs_change_hands_never_hits_another(queue, leases, rounds):
    """Two workers take jobs in order; one job in two is cancelled at a random moment of its life."""
    rng = random.Random(1)
    victims: set[str] = set()
    ids: list[str] = []
    with working(leases("w0"), leases("w1")):
        for _ in range(rounds):
            ids.append(queue.submit(NEW)[0].id)
            if rng.random() < 0.5:
                victims.add(ids[-1])
                queue.cancel(ids[-1])
        until(lambda: all(queue.get(job).state.is_final for job in ids[-20:]), 60)
    for job_id in ids:
        job = queue.get(job_id)
        if job_id not in victims:
            assert job.state is JobState.SUCCEEDED, "only what was cancelled may be cancelled"
            assert job.result == {"of": job_id}
        else:
            assert job.state in (JobState.CANCELLED, JobState.SUCCEEDED), "too late is no error"
    assert any(queue.get(job).state is JobState.CANCELLED for job in victims)
