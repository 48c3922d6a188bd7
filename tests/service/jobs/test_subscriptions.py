"""News of jobs: each read on from its own last event, told to all who wait, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from service.core.job_state import JobKind
from service.database.connect import Database
from service.database.schema import job_events
from service.jobs import loops
from service.jobs.events import EventLog
from service.jobs.leases import Leases
from service.jobs.loops import repeat
from service.jobs.queue import JobQueue
from service.jobs.records import EventType, NewJob
from service.jobs.subscriptions import PAGE, Subscriptions

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0, owner="ann")
MANY = PAGE + 50
LIMIT_S = 10


def busy_job(database: Database, queue: JobQueue) -> str:
    """A job that waits and has more events than are read at once."""
    job, _ = queue.submit(NEW)
    EventLog(database).append([(job.id, EventType.PROGRESS, {"done": done}) for done in range(MANY)])
    return job.id


@asynccontextmanager
async def looking(database: Database, queue: JobQueue) -> AsyncIterator[Subscriptions]:
    """Subscriptions with the loop that the desk runs for them."""
    log, closing = EventLog(database), asyncio.Event()
    subscriptions = Subscriptions(database, queue, log, closing)
    task = asyncio.create_task(repeat("looking", subscriptions.look, longest_s=0.05))
    try:
        yield subscriptions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


async def kinds_of(subscriptions: Subscriptions, job_id: str, after: int = 0) -> list[EventType]:
    return [event.type async for event in subscriptions.follow(job_id, after)]


def test_what_is_known_of_one_job_hides_no_news_of_another(database: Database, queue: JobQueue):
    log = EventLog(database)
    known = busy_job(database, queue)
    other, _ = queue.submit(NEW)
    seen = [(known, log.last_id(known)), (other.id, 0)]
    queue.cancel(other.id)
    assert [event.type for event in log.after(seen)] == [EventType.STATE, EventType.DONE]


def test_each_job_is_read_from_its_own_event(database: Database, queue: JobQueue):
    log = EventLog(database)
    one, two = (queue.submit(NEW)[0].id for _ in range(2))
    log.append([(one, EventType.PROGRESS, {}), (two, EventType.PROGRESS, {})])
    assert [(e.job_id, e.type.value) for e in log.after([(one, log.last_id(one)), (two, 0)])] == [
        (two, "state"),
        (two, "progress"),
    ]
    assert log.after([(one, 2**62)]) == []
    assert len(log.after([(one, 0)] + [(f"{n:032x}", 0) for n in range(1200)])) == 2


def test_a_job_with_many_events_gets_its_end(database: Database, queue: JobQueue):
    async def scene() -> None:
        job_id = busy_job(database, queue)
        async with looking(database, queue) as subscriptions:
            told = asyncio.create_task(kinds_of(subscriptions, job_id))
            waits = asyncio.create_task(subscriptions.until_end(job_id))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(queue.cancel, job_id)
            await waits
            assert (await told).count(EventType.PROGRESS) == MANY
            assert (await told)[-1] is EventType.DONE

    run(scene)


def test_a_stream_that_has_seen_the_end_ends(database: Database, queue: JobQueue):
    async def scene() -> None:
        job, _ = queue.submit(NEW)
        queue.cancel(job.id)
        async with looking(database, queue) as subscriptions:
            assert await kinds_of(subscriptions, job.id) == [EventType.STATE, EventType.DONE]
            assert await kinds_of(subscriptions, job.id, EventLog(database).last_id(job.id)) == []

    run(scene)


def test_an_event_that_cannot_be_read_is_passed_over_and_the_end_is_heard(
    database: Database, queue: JobQueue
):
    job, _ = queue.submit(NEW)
    with database.write() as connection:
        for kind, data in (("progress", "{"), ("nonsense", "{}"), ("done", "")):
            connection.execute(job_events.insert().values(job_id=job.id, type=kind, data=data))
    told = EventLog(database).after([(job.id, 0)])
    assert [event.type.value for event in told] == ["state", "state", "state", "done"]


def test_whoever_stops_waiting_leaves_no_task_behind(database: Database, queue: JobQueue):
    async def scene() -> None:
        job, _ = queue.submit(NEW)
        async with looking(database, queue) as subscriptions:
            before = asyncio.all_tasks()
            for wait in (subscriptions.until_end(job.id), kinds_of(subscriptions, job.id)):
                task = asyncio.create_task(wait)
                await asyncio.sleep(0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert asyncio.all_tasks() == before

    run(scene)


def test_the_streams_of_a_caller_can_be_ended_and_others_go_on(database: Database, queue: JobQueue):
    async def scene() -> None:
        job, _ = queue.submit(NEW)
        async with looking(database, queue) as subscriptions:

            async def follow(caller: str) -> int:
                return len([event async for event in subscriptions.follow(job.id, 0, caller)])

            gone, stays = (asyncio.create_task(follow(caller)) for caller in ("root", "ann"))
            await asyncio.sleep(0.2)
            subscriptions.end_of({"root"})
            assert await gone == 1
            assert not stays.done()
            await asyncio.to_thread(queue.cancel, job.id)
            assert await stays == 2

    run(scene)


def test_no_exception_ends_a_loop(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(loops, "FIRST_PAUSE_S", 0.001)
    failures = [OverflowError("int too large"), KeyError("x"), ExceptionGroup("several", [ValueError()])]
    reached = asyncio.Event()

    async def once() -> float:
        if failures:
            raise failures.pop()
        reached.set()
        return 60.0

    async def scene() -> None:
        task = asyncio.create_task(repeat("the test", once))
        await reached.wait()
        assert not task.done()
        task.cancel()

    run(scene)
    assert caplog.text.count("the test failed and is tried again") == 3


def test_a_look_that_failed_is_made_again(
    database: Database, queue: JobQueue, leases: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch
):
    read, failures = queue.ended, [RuntimeError("once")]

    def ended(job_ids: list[str]) -> list[str]:
        if failures:
            raise failures.pop()
        return read(job_ids)

    monkeypatch.setattr(queue, "ended", ended)

    async def scene() -> None:
        job, _ = queue.submit(replace(NEW, owner="bob"))
        async with looking(database, queue) as subscriptions:
            waits = asyncio.create_task(subscriptions.until_end(job.id))
            worker = leases()
            await asyncio.to_thread(lambda: worker.succeed(worker.claim(), {}, ()))
            await waits
            assert not failures

    run(scene)
