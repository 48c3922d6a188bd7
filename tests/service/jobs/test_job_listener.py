"""News of a job: written beside the work, in order, and all of it before the job ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from service.core.errors import Cancelled
from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.event_writer import EventWriter
from service.jobs.events import EventLog
from service.jobs.job_listener import ASK_EVERY_S, JobListener
from service.jobs.leases import Leases
from service.jobs.queue import JobQueue
from service.jobs.records import EventType, NewJob

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)
PICTURE = np.zeros((16, 16, 3), np.uint8)


def kinds(database: Database, job_id: str) -> list[EventType]:
    return [event.type for event in EventLog(database).after([(job_id, 0)])]


def test_what_was_told_is_written_when_flush_returns(database: Database, queue: JobQueue):
    job, _ = queue.submit(NEW)
    with EventWriter(EventLog(database)) as news:
        for number in range(20):
            news.write(job.id, EventType.PROGRESS, lambda number=number: {"done": number})
        news.flush()
        told = [
            e.data["done"] for e in EventLog(database).after([(job.id, 0)]) if e.type is EventType.PROGRESS
        ]
    assert told == list(range(20))


def test_flush_with_nothing_to_tell_returns_at_once(database: Database):
    with EventWriter(EventLog(database)) as news:
        started = time.monotonic()
        news.flush()
        assert time.monotonic() - started < 1.0


def test_news_that_cannot_be_told_do_not_stop_the_next(database: Database, queue: JobQueue):
    job, _ = queue.submit(NEW)
    with EventWriter(EventLog(database)) as news:
        news.write(job.id, EventType.PROGRESS, lambda: 1 // 0)
        news.flush()
        news.write(job.id, EventType.PROGRESS, dict)
        news.flush()
    assert kinds(database, job.id)[-1] is EventType.PROGRESS


@pytest.fixture
def begun(
    database: Database, queue: JobQueue, leases: Callable[..., Leases]
) -> Iterator[tuple[str, JobListener, EventWriter]]:
    """A running job's id, its listener and the thread that writes for it; one step is told."""
    job, _ = queue.submit(NEW)
    worker = leases()
    lease = worker.claim()
    assert lease is not None
    with EventWriter(EventLog(database)) as news:
        told = JobListener(worker, news, lease, threading.Event())
        told.progress("generate", 0, 20)
        yield job.id, told, news


def test_previews_are_for_those_who_look_on(
    database: Database, queue: JobQueue, begun: tuple[str, JobListener, EventWriter]
):
    job_id, told, news = begun
    assert not told.wants_preview()
    queue.attend(job_id)
    time.sleep(ASK_EVERY_S)
    told.progress("generate", 1, 20)
    assert told.wants_preview()
    told.preview(0, 1, PICTURE)
    assert not told.wants_preview()  # half a second has not passed
    news.flush()
    assert EventType.PREVIEW in kinds(database, job_id)


def test_a_cancelled_job_ends_at_its_next_step(queue: JobQueue, begun: tuple[str, JobListener, EventWriter]):
    job_id, told, _ = begun
    queue.cancel(job_id)
    time.sleep(ASK_EVERY_S)
    with pytest.raises(Cancelled):
        told.progress("generate", 1, 20)
