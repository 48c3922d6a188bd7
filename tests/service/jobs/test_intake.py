"""Submissions that come together are written together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.core.errors import AnatomendError, DatabaseUnavailable, InvalidRequest, QueueFull
from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.intake import Answers, Intake
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, QueueLimits

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)


class Counted:
    """A queue whose writes are counted."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self.sizes: list[int] = []

    async def __call__(self, news: Sequence[NewJob]) -> Answers:
        self.sizes.append(len(news))
        return await asyncio.to_thread(self._queue.submit_all, news)


def test_many_are_one_write(queue: JobQueue):
    counted = Counted(queue)

    async def all_at_once() -> list[tuple[str, int | None]]:
        intake = Intake(counted)
        made = await asyncio.gather(*(intake.submit(NEW) for _ in range(40)))
        return [(job.id, job.position) for job, _ in made]

    made = asyncio.run(all_at_once())
    assert len(counted.sizes) < 5
    assert len({job_id for job_id, _ in made}) == 40
    assert [position for _, position in made] == list(range(40))


def test_each_has_its_own_answer(database: Database):
    queue = JobQueue(database, QueueLimits(cost=100.0, jobs=2, jobs_per_owner=2))
    keyed = replace(NEW, idempotency_key="k")
    wishes = [keyed, keyed, replace(keyed, request={"prompt": "a foot"}), NEW, NEW]

    async def all_at_once() -> list[tuple[object, bool] | BaseException]:
        intake = Intake(Counted(queue))
        return await asyncio.gather(*(intake.submit(new) for new in wishes), return_exceptions=True)

    first, again, other, second, refused = asyncio.run(all_at_once())
    assert not isinstance(first, BaseException) and not isinstance(again, BaseException)
    assert not isinstance(second, BaseException)
    assert (first[1], again[1], second[1]) == (True, False, True)
    assert isinstance(other, InvalidRequest) and other.code == "idempotency_key_reused"
    assert isinstance(refused, QueueFull)


def test_a_failed_write_is_told_to_all_and_the_next_goes_on(queue: JobQueue):
    down = True

    async def write(news: Sequence[NewJob]) -> Answers:
        if down:
            raise DatabaseUnavailable("the database cannot be used now")
        return queue.submit_all(news)

    async def twice() -> list[object]:
        nonlocal down
        intake = Intake(write)
        failed = await asyncio.gather(*(intake.submit(NEW) for _ in range(3)), return_exceptions=True)
        down = False
        return [*failed, (await intake.submit(NEW))[1]]

    *failed, last = asyncio.run(twice())
    assert all(isinstance(error, AnatomendError) for error in failed)
    assert last is True


@pytest.mark.parametrize("count", [2, 5])
def test_equal_keys_in_one_write_make_one_job(queue: JobQueue, count: int):
    made = queue.submit_all([replace(NEW, idempotency_key="k")] * count)
    assert len({answer[0].id for answer in made if isinstance(answer, tuple)}) == 1
