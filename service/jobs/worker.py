"""A worker: claims a job, runs it, writes its outcome, claims the next."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from opentelemetry import trace
from structlog.contextvars import bound_contextvars

from service.core.errors import AnatomendError, Cancelled, DatabaseUnavailable
from service.database.connect import Database
from service.engine.protocol import LoadEngine
from service.images.decode import UploadLimits
from service.jobs.event_writer import EventWriter
from service.jobs.events import EventLog
from service.jobs.gpu import gpu_memory
from service.jobs.job_listener import JobListener, Stopping
from service.jobs.leases import LEASE_S, LeaseLost, Leases
from service.jobs.liveness import FOLDER, alive
from service.jobs.progress import Progress, Watchdog, patience_s
from service.jobs.records import Json, Lease, WorkerFacts
from service.jobs.vital_thread import VitalThread
from service.jobs.work import WorkContext, work_on
from service.runtime.settings import Settings
from service.schemas.answer_builder import model_facts
from service.store.open_store import stores_of

IDLE_S = 0.005
AGAIN_S = 1.0
"""Seconds until a retry while the database is unavailable."""
CLAIM_EVERY_S = 0.5
"""An expired lease changes nothing in the table, so workers poll for it even if nothing was written."""

_log = logging.getLogger(__name__)


class Worker:
    """One engine and the loop around it; one job at a time.

    Args:
        settings: the models, and the places of jobs and pictures.
        load: builds the engine.
        worker_id: the id under which it claims jobs.
        progress: the worker's signs of progress for its keeper.
    """

    def __init__(
        self,
        settings: Settings,
        load: LoadEngine,
        worker_id: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.id = worker_id or uuid.uuid4().hex
        self.progress = progress or Progress()
        self._settings = settings
        self._load = load
        self._database = Database.of(settings)
        self._leases = Leases(self._database, self.id)
        self._events = EventWriter(EventLog(self._database))
        self._leave_soon = threading.Event()
        self._leave_now = threading.Event()
        self._gone = threading.Event()
        self._facts = WorkerFacts(id=self.id, state="starting", seen_at=time.time())
        self._has_changed = threading.Event()
        self._lease: Lease | None = None
        self._looked_at = -1e9
        self._looked_version: int | None = None

    def stop(self, now: bool = False) -> None:
        """Asks the worker to exit: after its current job, or between two of its steps. Thread-safe."""
        self._leave_soon.set()
        if now:
            self._leave_now.set()

    def wait(self, timeout_s: float) -> bool:
        """Returns True if the worker exits within that time."""
        return self._gone.wait(timeout_s)

    def run(self) -> None:
        """Works until it is asked to stop, or until its engine cannot be built."""
        with alive(self._settings.data_dir / FOLDER, self.id):
            pulse = VitalThread(self._pulse, "pulse", daemon=True)
            pulse.start()
            try:
                self._work()
            finally:
                self._gone.set()
                self._has_changed.set()
                pulse.join()
                self._leave()
                self._database.close()

    def _work(self) -> None:
        context = self._context()
        if context is None:  # stay, so that /readyz can report the error until the keeper ends this process
            self._leave_soon.wait()
            return
        with self._events:
            while not self._leave_soon.is_set():
                self.progress.allow(self._settings.stall_s)
                if not self._one(context):
                    self._leave_soon.wait(IDLE_S)
            self.progress.allow(math.inf)  # the keeper counts the seconds from here on

    def _context(self) -> WorkContext | None:
        settings, started = self._settings, time.monotonic()
        try:
            engine = self._load(settings)
        except AnatomendError as error:
            self._fail(error)
            return None
        except Exception:  # noqa: BLE001 - whatever a model library raises: logged and reported by /readyz
            _log.exception("the models could not be loaded")
            self._fail(
                AnatomendError("the models could not be loaded; the log tells why", code="model_unavailable")
            )
            return None
        cards = tuple(model_facts(card) for card in engine.models())
        self._now_is(
            WorkerFacts(
                id=self.id, state="ready", seen_at=time.time(), models=cards, class_names=engine.class_names
            )
        )
        self.progress.ready()
        _log.info("the models are loaded after %.1f s", time.monotonic() - started)
        images, inputs = stores_of(settings.store_url, settings.data_dir)
        return WorkContext(engine, inputs, images, UploadLimits.of(settings), settings.embed_report)

    def _fail(self, error: AnatomendError) -> None:
        _log.error("not ready: %s", error.detail)
        self._now_is(WorkerFacts(id=self.id, state="failed", seen_at=time.time(), problem=problem_of(error)))

    def _now_is(self, facts: WorkerFacts) -> None:
        """Publishes new facts of this worker, at once or as soon as the database is available."""
        self._facts = facts
        self._has_changed.set()

    def _leave(self) -> None:
        try:
            self._leases.leave()
        except DatabaseUnavailable as error:  # the keeper removes this worker instead
            _log.warning("the worker could not say that it is gone: %s", error.detail)

    def _one(self, context: WorkContext) -> bool:
        """Runs one job, if there is one. No failure of a job ends the worker."""
        try:
            self._lease = lease = self._claim()
        except Exception as error:  # noqa: BLE001 - the next poll may succeed
            if not isinstance(error, DatabaseUnavailable):
                _log.exception("no job can be claimed")
            self._leave_soon.wait(AGAIN_S)
            return False
        if lease is None:
            return False
        try:
            with bound_contextvars(job_id=lease.job.id), self._span(lease):
                self._do(lease, context)
        except LeaseLost:
            _log.warning("job %s went to another worker", lease.job.id)
        except Exception:  # noqa: BLE001 - it is started again when its lease expires, three times at most
            _log.exception("the end of job %s could not be written down", lease.job.id)
        finally:
            self._lease = None
        return True

    def _claim(self) -> Lease | None:
        """Claims a job; polls only if one can have arrived since the last poll."""
        version, now = self._leases.version(), time.monotonic()
        is_old_news = version is not None and version == self._looked_version
        if is_old_news and now - self._looked_at < CLAIM_EVERY_S:
            return None
        lease = self._leases.claim()
        if lease is None:
            self._looked_at, self._looked_version = now, version
        return lease

    def _span(self, lease: Lease) -> AbstractContextManager[object]:
        """Returns a trace span for the job; a no-op where no traces are collected."""
        about: dict[str, str | int] = {
            "anatomend.job_id": lease.job.id,
            "anatomend.attempt": lease.job.attempts,
        }
        return trace.get_tracer(__name__).start_as_current_span(
            f"job {lease.job.kind.value}", attributes=about
        )

    def _do(self, lease: Lease, context: WorkContext) -> None:
        job, started = lease.job, time.monotonic()
        self.progress.allow(patience_s(self._settings.stall_s, lease.cost))
        told = JobListener(
            self._leases,
            self._events,
            lease,
            self._leave_now,
            self.progress.beat,
            self._settings.job_time_limit_s,
        )
        end: Callable[[], None]
        try:
            try:
                done = work_on(job, context, told)
            finally:
                self._events.flush()
        except Cancelled:
            end = partial(self._leases.cancel, lease)
        except Stopping:
            end = partial(self._leases.give_back, lease)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - no failure of a model may end the worker
            problem = _failure(job.id, error)
            trace.get_current_span().set_attribute("error.type", str(problem["code"]))
            end = partial(self._leases.fail, lease, problem)
        else:
            end = partial(self._leases.succeed, lease, done.result, done.images)
            _log.info("job %s: %s in %.2f s", job.id, job.kind.value, time.monotonic() - started)
        self._persistently(end)

    def _persistently(self, write: Callable[[], None]) -> None:
        """Writes a job's outcome, retrying through a long database outage: the work took long.

        Another worker may have the job by then; the fencing token shows it.
        """
        while True:
            try:
                write()
                return
            except DatabaseUnavailable:
                self.progress.beat()
                if self._leave_now.wait(AGAIN_S):
                    raise

    def _pulse(self) -> None:
        watchdog = Watchdog(self.progress)
        while not self._gone.is_set():
            # A stuck worker lets its lease expire, also where no keeper is there to kill it.
            is_told = watchdog.is_stuck() or self._show_life()
            self._has_changed.wait(LEASE_S / 3 if is_told else AGAIN_S)
            self._has_changed.clear()

    def _show_life(self) -> bool:
        """Writes this worker's facts and renews its lease; returns True if that succeeded."""
        lease, facts = self._lease, self._facts
        try:
            # While the models are loaded torch may be half imported: it is read only afterwards.
            self._leases.tell(
                dataclasses.replace(facts, gpu=gpu_memory()) if facts.state == "ready" else facts
            )
            if lease is not None:
                self._leases.renew(lease)
        except DatabaseUnavailable:
            return False
        except LeaseLost:
            _log.warning("the worker's lease is lost; its next step will end the work")
        except Exception:  # noqa: BLE001 - without its pulse a worker is as good as dead
            _log.exception("the worker could not tell that it lives")
        return True


def _failure(job_id: str, error: Exception) -> Json:
    if isinstance(error, AnatomendError):
        _log.warning("job %s failed: %s: %s", job_id, error.code, error.detail)
        return problem_of(error)
    _log.error("job %s failed", job_id, exc_info=error)
    if isinstance(error, OSError):
        return {"code": "storage_failed", "detail": f"the result cannot be kept: {error.strerror}"}
    return {
        "code": "internal_error",
        "detail": f"the run failed inside; the log tells why under the id {job_id}",
    }


def problem_of(error: AnatomendError) -> Json:
    """Returns an error in the form that the job table stores."""
    problem: dict[str, object] = {
        "error": type(error).__name__,
        "code": error.code,
        "detail": error.detail,
    }
    if error.allowed is not None:
        problem["allowed"] = error.allowed
    return problem
