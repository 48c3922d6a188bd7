"""The job service: submits jobs and waits for them, for code that must not block."""

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
"""Seconds between rounds of a loop after a failure: calls wait for the next round."""
RECOUNT_S = 0.03
"""Maximum age, in seconds, of a count by which a job is refused."""

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class JobService:
    """Submits jobs to the table and reports their progress. Belongs to one event loop.

    Args:
        settings: the limits, and the address of the database.
        executor: runs the worker; started and stopped with the job service.
        on_failure: called once if the models cannot be loaded.
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
                cost=settings.queue_megapixel_steps,
                jobs=settings.queue_jobs,
                jobs_per_owner=settings.queue_jobs_per_key,
                cost_per_job=settings.job_megapixel_steps,
            ),
        )
        self._log = EventLog(self.database)
        self._threads = anyio.CapacityLimiter(8)
        self._intake = Intake(lambda events: self._in_thread(self.queue.submit_all, events))
        self._depth = QueueDepth(jobs=0, cost=0.0)
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
        """Migrates the tables, starts the worker and begins to watch.

        Raises:
            DatabaseUnavailable: if the database cannot be opened.
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
        """Lets the running job end, or requeues it; queued jobs stay in the table."""
        self.drain()
        await anyio.to_thread.run_sync(self._executor.stop, self._settings.drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.database.close()

    def drain(self) -> None:
        """Refuses new jobs from now on, and answers waiting requests with the address of their job."""
        self.draining.set()

    def worker(self) -> WorkerFacts:
        """Returns the facts of this service's worker once it is ready, with its models and classes.

        Raises:
            NotReady: while the models are loaded, or when the service stops.
            ModelUnavailable: if the models could not be loaded.
        """
        if self.draining.is_set():
            raise NotReady("the service is stopping", allowed="try again when /readyz answers 200")
        ready = next((worker for worker in self._workers if worker.state == "ready"), None)
        if ready is not None:
            return ready
        if self.failure is not None:
            # A new exception each time: one that is raised repeatedly accumulates tracebacks.
            raise type(self.failure)(
                self.failure.detail, code=self.failure.code, allowed=self.failure.allowed
            )
        raise NotReady("the models are being loaded", allowed="try again when /readyz answers 200")

    def check_ready(self) -> None:
        """Checks that a request would be admitted now.

        Raises:
            NotReady, ModelUnavailable: as ``worker``.
            DatabaseUnavailable: if the database cannot be read, or is damaged.
            QueueFull: if the queue is full.
        """
        self.worker()
        if self._away is not None:
            raise DatabaseUnavailable(self._away.detail, code=self._away.code, allowed=self._away.allowed)
        if self.queue.is_full(self._depth):
            raise QueueFull("the queue is full", allowed="try again later")

    def check_alive(self) -> None:
        """Checks that the service does not need a restart.

        Raises:
            NotReady: ``no_worker``, if no worker could be started for too long.
        """
        down_s, limit_s = self._executor.down_s, self._settings.worker_start_s
        if down_s > limit_s and not self.draining.is_set():
            raise NotReady(
                f"for {down_s / 60:.0f} minutes no worker could be brought up",
                code="no_worker",
                allowed="the log tells why; ANATOMEND_WORKER_START_S is how long it may take",
            )

    def check_started(self) -> None:
        """Checks that the models were loaded once; a later restart of the worker does not count.

        Raises:
            NotReady, ModelUnavailable: as ``worker``.
        """
        if not self._was_ready:
            self.worker()

    @property
    def workers(self) -> Sequence[WorkerFacts]:
        """The facts of this service's worker, as of the last poll; empty if it did not report lately."""
        return tuple(self._workers)

    @property
    def depth(self) -> QueueDepth:
        """The depth of the queue, as of the last poll."""
        return self._depth

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Submits a job, see ``JobQueue.submit``; a full queue refuses at once, by the count kept here."""
        if new.idempotency_key is None:
            self.worker()
            await self._check_room()
        job, is_new = await self._intake.submit(new)
        if is_new:
            self._depth = QueueDepth(jobs=self._depth.jobs + 1, cost=self._depth.cost + new.cost)
        return job, is_new

    async def check(self, new: NewJob) -> None:
        """Checks a job, see ``JobQueue.check``, before anything is stored for it."""
        self.worker()
        await self._in_thread(self.queue.check, new)

    async def _check_room(self) -> None:
        """Refuses if the queue is full, without waiting for the write lock.

        The count here lags behind the jobs that the worker has begun. So it is read again before a refusal,
        once for all requests that check at that moment; a crowd may be refused by a count that is a moment
        old.
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
        """Returns one job, see ``JobQueue.get``."""
        return await self._in_thread(self.queue.get, job_id, owner)

    async def page(self, owner: str | None, limit: int, before: str | None) -> list[Job]:
        """Returns jobs, newest first, see ``JobQueue.page``."""
        return await self._in_thread(self.queue.page, owner, limit, before)

    async def latest(self, job_id: str) -> dict[EventType, JobEvent]:
        """Returns a job's last event of each type, for clients that poll; see ``EventLog.latest``."""
        return await self._in_thread(self._log.latest, job_id)

    async def attend(self, job: Job) -> None:
        """Turns on previews of a running job; see ``JobQueue.attend``."""
        if not job.state.is_final:
            await self._in_thread(self.queue.attend, job.id)

    async def cancel(self, job_id: str, owner: str | None) -> Job:
        """Cancels a job, see ``JobQueue.cancel``."""
        return await self._in_thread(self.queue.cancel, job_id, owner)

    async def retry(self, job_id: str, owner: str | None) -> Job:
        """Submits a finished job again, see ``JobQueue.retry``."""
        self.check_ready()
        return await self._in_thread(self.queue.retry, job_id, owner)

    async def unfinished(self, owner: str) -> tuple[Job | None, int]:
        """Returns an owner's current job and the number of its jobs, see ``JobQueue.unfinished``."""
        return await self._in_thread(self.queue.unfinished, owner)

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        """Returns the job once it has ended, or as it is after ``timeout_s`` or when the service stops."""
        with anyio.move_on_after(timeout_s):
            await self._subscriptions.until_end(job_id)
        return await self.get(job_id, None)

    def follow(self, job_id: str, after: int = 0, caller: str = "") -> AsyncIterator[JobEvent]:
        """Yields a job's events, see ``Subscriptions.follow``."""
        return self._subscriptions.follow(job_id, after, caller)

    async def last_event_id(self, job_id: str) -> int:
        """Returns the id of a job's newest event, see ``EventLog.last_id``."""
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
        """Reads the queue and the facts of its own worker: the workers of others may have other models."""
        self._depth = await self._in_thread(self.queue.depth)
        living = await self._in_thread(living_workers, self.database)
        self._workers = [worker for worker in living if worker.id == self._executor.worker_id]
        self._was_ready |= any(worker.state == "ready" for worker in self._workers)
        self._away = self.database.damage

    def _on_keeper_end(self) -> None:
        """Ends the service so that it is restarted: without the keeper of its worker it only seems alive."""
        if self.failure is None:
            _log.critical("the keeper of the worker has ended; so does the service")
            self.failure = NotReady("the service cannot look after its work any more; the log tells why")
            (self._on_failure or end_process)()

    async def _stop_revoked(self) -> float:
        """Ends what revoked keys have left: streams, queued jobs, and the running one.

        Repeated, since a job may be submitted before all processes know of the revocation.
        """
        revoked = await self._in_thread(revoked_keys, self.database)
        self._subscriptions.end_of(revoked)
        for job_id in await self._in_thread(self.queue.cancel_all_of, revoked):
            _log.info("job %s is cancelled: its key was revoked", job_id, extra={"job_id": job_id})
        return SLOW_TICK_S

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=self._threads)
