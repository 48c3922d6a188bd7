"""Where requests are handed in and waited for: the job table for code that must not block."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

from service.core.errors import AnatomendError, DatabaseUnavailable, ModelUnavailable, NotReady, QueueFull
from service.database.connect import Database
from service.jobs.events import EventLog
from service.jobs.executors import Executor
from service.jobs.intake import Intake
from service.jobs.leases import living_workers
from service.jobs.loops import repeat
from service.jobs.queue import JobQueue
from service.jobs.records import EventType, Job, JobEvent, NewJob, QueueDepth, QueueLimits, WorkerFacts
from service.jobs.subscriptions import Subscriptions
from service.jobs.vital_thread import end_process
from service.keys.records import revoked_keys
from service.runtime.settings import Settings

TICK_S = 0.02
SLOW_TICK_S = 0.25
LONGEST_PAUSE_S = 1.0
"""After a round of a loop that failed: calls wait for the next one."""
RECOUNT_S = 0.03
"""How old a count may be by which somebody is refused."""

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class JobService:
    """Hands jobs to the table and tells how they go. Belongs to one event loop.

    Args:
        settings: limits, and where the table is.
        executor: who does the work; started and stopped with the desk.
        on_failure: told once if the models cannot be loaded.
    """

    def __init__(
        self, settings: Settings, executor: Executor, on_failure: Callable[[], None] | None = None
    ) -> None:
        self._settings = settings
        self._executor = executor
        self._on_failure = on_failure
        self.database = Database.of(settings)
        self.queue = JobQueue(
            self.database,
            QueueLimits(
                settings.queue_megapixel_steps,
                settings.queue_jobs,
                settings.queue_jobs_per_key,
                settings.job_megapixel_steps,
            ),
        )
        self._log = EventLog(self.database)
        self._threads = anyio.CapacityLimiter(8)
        self._intake = Intake(lambda events: self._in_thread(self.queue.submit_all, events))
        self._depth = QueueDepth(0, 0.0)
        self._counted_at = -math.inf
        self._recount: asyncio.Task[QueueDepth] | None = None
        self._workers: list[WorkerFacts] = []
        self._away: DatabaseUnavailable | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.draining = asyncio.Event()
        self._subscriptions = Subscriptions(self.database, self.queue, self._log, self.draining)
        self.failure: AnatomendError | None = None
        self._was_ready = False

    async def start(self) -> None:
        """Brings the tables up to date, starts the worker and begins to watch.

        Raises:
            DatabaseUnavailable: if the table cannot be opened.
        """
        await self._in_thread(self.database.migrate)
        self._executor.start()
        loops = {
            "reading the news of jobs": self._subscriptions.look,
            "looking at the queue": self._watch,
            "looking for revoked keys": self._stop_revoked,
        }
        self._tasks = [
            asyncio.create_task(repeat(what, once, longest_s=LONGEST_PAUSE_S)) for what, once in loops.items()
        ]

    async def stop(self) -> None:
        """Lets the running job end, or puts it back; what waits stays written down."""
        self.drain()
        await anyio.to_thread.run_sync(self._executor.stop, self._settings.drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.database.close()

    def drain(self) -> None:
        """From now on nothing new is let in, and those who wait are sent away with their job's address."""
        self.draining.set()

    def worker(self) -> WorkerFacts:
        """This service's own worker once it is ready, with its models and classes.

        Raises:
            NotReady: while the models are loaded, or when the service stops.
            ModelUnavailable: if they could not be loaded.
        """
        if self.draining.is_set():
            raise NotReady("the service is stopping", allowed="try again when /readyz answers 200")
        ready = next((worker for worker in self._workers if worker.state == "ready"), None)
        if ready is not None:
            return ready
        if self.failure is not None:
            # A new one each time: an exception raised again and again drags its tracebacks along.
            raise type(self.failure)(
                self.failure.detail, code=self.failure.code, allowed=self.failure.allowed
            )
        raise NotReady("the models are being loaded", allowed="try again when /readyz answers 200")

    def check_ready(self) -> None:
        """Whether a request would be let in now.

        Raises:
            NotReady, ModelUnavailable: as ``worker``.
            DatabaseUnavailable: if it cannot be read, or is damaged.
            QueueFull: if the queue is.
        """
        self.worker()
        if self._away is not None:
            raise DatabaseUnavailable(self._away.detail, code=self._away.code, allowed=self._away.allowed)
        if self.queue.is_full(self._depth):
            raise QueueFull("the queue is full", allowed="try again later")

    def check_alive(self) -> None:
        """Whether all is well enough not to be started again.

        Raises:
            NotReady: ``no_worker``, if for too long no worker could be brought up.
        """
        down_s, limit_s = self._executor.down_s, self._settings.worker_start_s
        if down_s > limit_s and not self.draining.is_set():
            raise NotReady(
                f"for {down_s / 60:.0f} minutes no worker could be brought up",
                code="no_worker",
                allowed="the log tells why; ANATOMEND_WORKER_START_S is how long it may take",
            )

    def check_started(self) -> None:
        """Whether the models were loaded once; a worker that is started again later does not count.

        Raises:
            NotReady, ModelUnavailable: as ``worker``.
        """
        if not self._was_ready:
            self.worker()

    @property
    def workers(self) -> Sequence[WorkerFacts]:
        """This service's own worker if it was heard of lately, as of a moment ago."""
        return tuple(self._workers)

    @property
    def depth(self) -> QueueDepth:
        """What waits, as of a moment ago."""
        return self._depth

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """See ``JobQueue.submit``; a full queue refuses at once, by what is counted here."""
        if new.idempotency_key is None:
            self.worker()
            await self._check_room()
        job, is_new = await self._intake.submit(new)
        if is_new:
            self._depth = QueueDepth(self._depth.jobs + 1, self._depth.cost + new.cost)
        return job, is_new

    async def check(self, new: NewJob) -> None:
        """See ``JobQueue.check``: for what would be kept for a job before it is handed in."""
        self.worker()
        await self._in_thread(self.queue.check, new)

    async def _check_room(self) -> None:
        """Refuses if the queue is full, without waiting in line for the right to write.

        The count here does not know what the worker has begun since it was last read, so before anybody is
        refused it is read again, once for all who wonder at that moment; a crowd may be refused by a count
        that is a moment old.
        """
        if not self.queue.is_full(self._depth):
            return
        if time.monotonic() - self._counted_at > RECOUNT_S:
            if self._recount is None:
                self._recount = asyncio.ensure_future(self._in_thread(self.queue.depth))
            try:
                self._depth = await asyncio.shield(self._recount)
            finally:
                self._recount = None
            self._counted_at = time.monotonic()
        self.check_ready()

    async def get(self, job_id: str, owner: str | None) -> Job:
        """See ``JobQueue.get``."""
        return await self._in_thread(self.queue.get, job_id, owner)

    async def page(self, owner: str | None, limit: int, before: str | None) -> list[Job]:
        """See ``JobQueue.page``."""
        return await self._in_thread(self.queue.page, owner, limit, before)

    async def latest(self, job_id: str) -> dict[EventType, JobEvent]:
        """See ``EventLog.latest``: how a job stands, for those who look now and then."""
        return await self._in_thread(self._log.latest, job_id)

    async def attend(self, job: Job) -> None:
        """Has a job shown while it is done; see ``JobQueue.attend``."""
        if not job.state.is_final:
            await self._in_thread(self.queue.attend, job.id)

    async def cancel(self, job_id: str, owner: str | None) -> Job:
        """See ``JobQueue.cancel``."""
        return await self._in_thread(self.queue.cancel, job_id, owner)

    async def retry(self, job_id: str, owner: str | None) -> Job:
        """See ``JobQueue.retry``."""
        self.check_ready()
        return await self._in_thread(self.queue.retry, job_id, owner)

    async def unfinished(self, owner: str) -> tuple[Job | None, int]:
        """See ``JobQueue.unfinished``."""
        return await self._in_thread(self.queue.unfinished, owner)

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        """The job once it has ended, or as it is when the time is up or the service stops."""
        with anyio.move_on_after(timeout_s):
            await self._subscriptions.until_end(job_id)
        return await self.get(job_id, None)

    def follow(self, job_id: str, after: int = 0, caller: str = "") -> AsyncIterator[JobEvent]:
        """See ``Subscriptions.follow``."""
        return self._subscriptions.follow(job_id, after, caller)

    async def last_event_id(self, job_id: str) -> int:
        """See ``EventLog.last_id``."""
        return await self._in_thread(self._log.last_id, job_id)

    async def _watch(self) -> float:
        if self._executor.has_failed:
            self._on_keeper_end()
        try:
            await self._look()
        except DatabaseUnavailable as error:
            self._away = error
            raise
        failed = next((worker.problem for worker in self._workers if worker.state == "failed"), None)
        if failed is not None and self.failure is None:
            self.failure = ModelUnavailable(
                failed["detail"], code=failed["code"], allowed=failed.get("allowed")
            )
            if self._on_failure is not None:
                self._on_failure()
        await self._subscriptions.tell_positions()
        return SLOW_TICK_S if self._workers else TICK_S

    async def _look(self) -> None:
        """Reads what waits, and what its own worker says of itself: others may have other models."""
        self._depth = await self._in_thread(self.queue.depth)
        living = await self._in_thread(living_workers, self.database)
        self._workers = [worker for worker in living if worker.id == self._executor.worker_id]
        self._was_ready |= any(worker.state == "ready" for worker in self._workers)
        self._away = self.database.damage

    def _on_keeper_end(self) -> None:
        """Ends the service: without the keeper of its worker it only looks alive, and is to be started again."""
        if self.failure is None:
            _log.critical("the keeper of the worker has ended; so does the service")
            self.failure = NotReady("the service cannot look after its work any more; the log tells why")
            (self._on_failure or end_process)()

    async def _stop_revoked(self) -> float:
        """Ends what revoked keys have left: streams, waiting jobs, and the one at work.

        Again and again, since a job may be handed in while the revocation is not known everywhere yet.
        """
        revoked = await self._in_thread(revoked_keys, self.database)
        self._subscriptions.end_of(revoked)
        for job_id in await self._in_thread(self.queue.cancel_all_of, revoked):
            _log.info("job %s is cancelled: its key was revoked", job_id, extra={"job_id": job_id})
        return SLOW_TICK_S

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._threads)
