"""Subscriptions to the events of jobs, served by one poll of the job table for all subscribers.

A poll costs the same for one key as for another: each job is read on from its own last event, and those who
only wait for a job's end learn it from its row, however many events there are.
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
"""Seconds between polls: a crowd then costs the database fewer polls, each of them longer."""
PAGE = 500
"""The maximum number of events per read."""


class _Subscriber:
    """One subscriber to the events of one job.

    Attributes:
        caller: the id of the key.
        last: the id of the last event that was delivered.
        news: the events to deliver; None marks the end.
    """

    def __init__(self, job_id: str, last: int, caller: str) -> None:
        self.job_id, self.last, self.caller = job_id, last, caller
        self.position: int | None = None
        self.news: asyncio.Queue[JobEvent | None] = asyncio.Queue()

    def tell(self, event: JobEvent) -> None:
        """Queues an event unless it was delivered before."""
        if event.id > self.last:
            self.last = event.id
            self.news.put_nowait(event)


class Subscriptions:
    """The subscribers and the loop that serves them. Belongs to one event loop.

    Args:
        database: read only after something was written to it.
        queue: the source of finished jobs.
        log: the source of events.
        closing: once set, all subscriptions end.
    """

    def __init__(self, database: Database, queue: JobQueue, log: EventLog, closing: asyncio.Event) -> None:
        self._database, self._queue, self._log, self._closing = database, queue, log, closing
        self._threads = anyio.CapacityLimiter(4)
        self._subscribers: dict[str, set[_Subscriber]] = defaultdict(set)
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._is_joined = False
        self._version: int | None = None

    async def follow(self, job_id: str, after: int = 0, caller: str = "") -> AsyncIterator[JobEvent]:
        """Yields a job's events after ``after``; ends with ``done``.

        A queued job's changed position is sent under the id of the event before it, as it is not stored.
        Ends early when the service stops or when the caller's key is revoked.
        """
        subscriber = _Subscriber(job_id, after, caller)
        # The state is read before the events: if the job had ended by then, all of its events are there.
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
        """Delivers the new events to all subscribers; returns the seconds until the next poll."""
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
        self._version = version if is_all else None  # only what was delivered counts as seen
        return pause_s if is_all else 0.0

    async def tell_positions(self) -> None:
        """Sends the followers of queued jobs their current position."""
        if not self._subscribers:
            return
        positions = await self._in_thread(self._queue.positions)
        for subscriber in self._all():
            position = positions.get(subscriber.job_id)
            if position is not None and position != subscriber.position:
                data = {"state": "queued", "position": position}
                told = JobEvent(id=subscriber.last, job_id=subscriber.job_id, type=EventType.STATE, data=data)
                subscriber.news.put_nowait(told)
            subscriber.position = position

    def end_of(self, callers: Collection[str]) -> None:
        """Ends the subscriptions of some callers, whichever jobs they follow."""
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
