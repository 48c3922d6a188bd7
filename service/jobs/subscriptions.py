"""Who waits for news of jobs, and the one look at the table that finds what is new for all of them.

A look costs the same for one key as for another: each job is read on from its own last event, and those who
only wait for a job's end are told by its row, however many events there are.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from service.database.connect import Database
from service.jobs.events import EventLog
from service.jobs.queue import JobQueue
from service.jobs.records import EventType, JobEvent

TICK_S = 0.02
TICK_PER_ONE_S = 0.0001
"""So that a crowd costs the database fewer looks, each of them longer."""
PAGE = 500
"""Events that are read at once."""


class _Subscriber:
    """One who follows one job.

    Attributes:
        caller: the id of the key that asks.
        last: the id of the last event that it was told.
        news: what it was not told yet; None at the end.
    """

    def __init__(self, job_id: str, last: int, caller: str) -> None:
        self.job_id, self.last, self.caller = job_id, last, caller
        self.position: int | None = None
        self.news: asyncio.Queue[JobEvent | None] = asyncio.Queue()

    def tell(self, event: JobEvent) -> None:
        """Passes on what it does not know yet."""
        if event.id > self.last:
            self.last = event.id
            self.news.put_nowait(event)


class Subscriptions:
    """Those who wait, and what they are told. Belongs to one event loop.

    Args:
        database: which is only read again where something was written to it.
        queue: tells which jobs have ended.
        log: tells what happened to them.
        closing: once it is set, nobody waits any longer.
    """

    def __init__(self, database: Database, queue: JobQueue, log: EventLog, closing: asyncio.Event) -> None:
        self._database, self._queue, self._log, self._closing = database, queue, log, closing
        self._threads = anyio.CapacityLimiter(4)
        self._subscribers: dict[str, set[_Subscriber]] = defaultdict(set)
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._is_joined = False
        self._version: int | None = None

    async def follow(self, job_id: str, after: int = 0, caller: str = "") -> AsyncIterator[JobEvent]:
        """What happens to a job from the first event after ``after`` on; ends with ``done``.

        A waiting job's changed position is told under the id of the event before: it is not kept.
        Ends early when the service stops or when the caller's key is revoked.
        """
        subscriber = _Subscriber(job_id, after, caller)
        # Asked before its events are read: of a job that had ended by then, all of them are there.
        had_ended = await self._in_thread(self._queue.ended, [job_id])
        while page := await self._in_thread(self._log.after, [(job_id, subscriber.last)], PAGE):
            for event in page:
                subscriber.last = event.id
                yield event
                if event.type is EventType.DONE:
                    return
        if had_ended:
            return
        with self._joined(self._subscribers, job_id, subscriber):
            while (news := await subscriber.news.get()) is not None:
                yield news
                if news.type is EventType.DONE:
                    return

    async def until_end(self, job_id: str) -> None:
        """Returns when a job has ended, or when the service stops."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._joined(self._waiting, job_id, end):
            await end

    async def look(self) -> float:
        """Tells everybody what is new; returns the seconds until the next look."""
        if self._closing.is_set():
            self._close()
        pause_s = TICK_S + TICK_PER_ONE_S * (len(self._subscribers) + len(self._waiting))
        if not self._subscribers and not self._waiting:
            return pause_s
        version = await self._in_thread(self._database.version)
        if version is not None and version == self._version and not self._is_joined:
            return pause_s
        self._is_joined = False
        is_all = await self._tell_events()
        await self._tell_ends()
        self._version = version if is_all else None  # only what was told counts as known
        return pause_s if is_all else 0.0

    async def tell_positions(self) -> None:
        """Tells those who follow a waiting job where it is now."""
        if not self._subscribers:
            return
        positions = await self._in_thread(self._queue.positions)
        for subscriber in self._all():
            position = positions.get(subscriber.job_id)
            if position is not None and position != subscriber.position:
                data = {"state": "queued", "position": position}
                told = JobEvent(subscriber.last, subscriber.job_id, EventType.STATE, data)
                subscriber.news.put_nowait(told)
            subscriber.position = position

    def end_of(self, callers: Collection[str]) -> None:
        """Ends what some callers follow, whosever jobs they are."""
        for subscriber in self._all():
            if subscriber.caller in callers:
                subscriber.news.put_nowait(None)

    async def _tell_events(self) -> bool:
        seen = [(job_id, min(one.last for one in those)) for job_id, those in self._subscribers.items()]
        events = await self._in_thread(self._log.after, seen, PAGE)
        for event in events:
            for subscriber in self._subscribers.get(event.job_id, ()):
                subscriber.tell(event)
        return len(events) < PAGE

    async def _tell_ends(self) -> None:
        for job_id in await self._in_thread(self._queue.ended, list(self._waiting)):
            for end in self._waiting.get(job_id, ()):
                _set(end)

    def _close(self) -> None:
        for subscriber in self._all():
            subscriber.news.put_nowait(None)
        for ends in self._waiting.values():
            for end in ends:
                _set(end)

    def _all(self) -> list[_Subscriber]:
        return [one for those in self._subscribers.values() for one in those]

    @contextmanager
    def _joined(self, those: dict[str, set[Any]], job_id: str, one: object) -> Iterator[None]:
        those[job_id].add(one)
        self._is_joined = True
        try:
            yield
        finally:
            those[job_id].discard(one)
            if not those[job_id]:
                del those[job_id]

    async def _in_thread(self, call: Any, *args: Any) -> Any:
        return await anyio.to_thread.run_sync(partial(call, *args), limiter=self._threads)


def _set(end: asyncio.Future[None]) -> None:
    if not end.done():
        end.set_result(None)
