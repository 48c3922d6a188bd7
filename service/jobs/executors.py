"""Executors run the workers: in a thread of this process (for tests), or in a process of their own.

An executor for a cluster would be a third one: it, too, only has to keep workers running on the same database
and store.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import threading
import time
import uuid
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

from opentelemetry import trace

from service.core.errors import DatabaseUnavailable
from service.database.connect import Database
from service.engine.protocol import LoadEngine, load_engine
from service.jobs.leases import leave
from service.jobs.liveness import FOLDER, dead, forget
from service.jobs.progress import Progress, Watchdog
from service.jobs.vital_thread import VitalThread, end_process
from service.jobs.worker import Worker
from service.runtime.library_env import set_library_env
from service.runtime.logs import configure_logs
from service.runtime.settings import Settings
from service.runtime.tracing import tracer_provider

RESTART_AFTER_S = (0.2, 1.0, 5.0, 15.0)
"""Pauses, in seconds, before a dead worker is started again, longer each time it dies early."""
OLD_AGE_S = 60.0
BURY_EVERY_S = 1.0
ORPHAN_S = 30.0
"""Seconds until its next step that a worker may take after its web process is gone."""

_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Keeps a worker running."""

    @property
    def worker_id(self) -> str | None:
        """The id of the current worker in the table of workers."""
        ...

    @property
    def down_s(self) -> float:
        """The number of seconds since a worker with loaded models last existed."""
        ...

    @property
    def has_failed(self) -> bool:
        """True if workers are no longer restarted, without a call of ``stop``."""
        ...

    def start(self) -> None:
        """Starts the worker; returns at once."""
        ...

    def stop(self, grace_s: float) -> None:
        """Gives the running job ``grace_s`` seconds to end, then requeues it; returns without a worker."""
        ...


class InlineExecutor:
    """A worker in a thread of this process."""

    def __init__(self, settings: Settings, load: LoadEngine = load_engine) -> None:
        self._worker = Worker(settings, load)
        self._thread = threading.Thread(target=self._worker.run, name="worker")
        self._ready_at = time.monotonic()
        self._is_stopping = False

    @property
    def worker_id(self) -> str | None:
        """The id of the worker."""
        return self._worker.id

    @property
    def down_s(self) -> float:
        """The number of seconds since the worker's models were last known to be loaded."""
        if self._worker.progress.is_ready and self._thread.is_alive():
            self._ready_at = time.monotonic()
        return time.monotonic() - self._ready_at

    @property
    def has_failed(self) -> bool:
        """True if the thread has ended without a call of ``stop``."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._is_stopping

    def start(self) -> None:
        """Starts the worker; returns at once."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Gives the running job ``grace_s`` seconds to end, then requeues it."""
        self._is_stopping = True
        self._worker.stop()
        self._thread.join(grace_s)
        self._worker.stop(now=True)
        self._thread.join()


class ProcessExecutor:
    """A worker in a process of its own, restarted when it dies and killed when it is stuck."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database.of(settings)
        self._signs = settings.data_dir / FOLDER
        self._stopping = threading.Event()
        self._grace_s = 0.0
        self._dead = set[str]()
        self._ready_at = time.monotonic()
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self.pid: int | None = None
        self.worker_id: str | None = None

    @property
    def down_s(self) -> float:
        """The number of seconds since a worker with loaded models last existed."""
        return time.monotonic() - self._ready_at

    @property
    def has_failed(self) -> bool:
        """True if the keeper has ended without a call of ``stop``."""
        return self._keeper.ident is not None and not self._keeper.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Starts the worker; returns at once."""
        self._ready_at = time.monotonic()
        self._keeper.start()

    def stop(self, grace_s: float) -> None:
        """Gives the running job ``grace_s`` seconds to end; returns when keeper and worker are gone."""
        self._grace_s = grace_s
        self._stopping.set()
        self._keeper.join()

    def _keep(self) -> None:
        """Runs one worker after the other. No failure to start or to watch a worker ends this loop."""
        deaths = 0
        self._dead |= dead(self._signs)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._one_life()
            except Exception:  # noqa: BLE001 - out of memory or of file handles: that may pass
                _log.exception("no worker can be kept now; it is tried again")
            self._bury()
            deaths = 1 if time.monotonic() - began > OLD_AGE_S else deaths + 1
            self._stopping.wait(RESTART_AFTER_S[min(deaths, len(RESTART_AFTER_S)) - 1])
        self._database.close()

    def _one_life(self) -> None:
        """Starts a worker and watches it until it is gone."""
        context, worker_id, progress = multiprocessing.get_context("spawn"), uuid.uuid4().hex, Progress()
        here, there = context.Pipe()
        with here, there:
            process = context.Process(
                target=run_worker, args=(self._settings, worker_id, there, progress), name="anatomend-worker"
            )
            process.start()
            there.close()
            self.pid, self.worker_id = process.pid, worker_id
            try:
                self._watch(process, progress)
                self._see_out(process, here)
            finally:
                process.kill()
                process.join()
                self._dead.add(worker_id)
                self.worker_id = None
        if not self._stopping.is_set():
            _log.error("the worker died with exit code %s; it is started again", process.exitcode)

    def _watch(self, process: BaseProcess, progress: Progress) -> None:
        """Waits until the process is gone or this service stops; kills the process if it is stuck."""
        watchdog, buried_at = Watchdog(progress), -math.inf
        while process.is_alive() and not self._stopping.is_set():
            process.join(0.05)
            if progress.is_ready:
                self._ready_at = time.monotonic()
            if self._dead and time.monotonic() - buried_at > BURY_EVERY_S:
                self._bury()
                buried_at = time.monotonic()
            if watchdog.is_stuck():
                _log.error("the worker has done nothing for %.0f s: it is killed", watchdog.silent_s)
                process.kill()
                process.join()

    def _see_out(self, process: BaseProcess, pipe: Connection) -> None:
        """Has a worker end its job or give it back; the caller kills a worker that is stuck."""
        for word in ("soon", "now"):
            if process.is_alive():
                _tell(pipe, word)
                process.join(self._grace_s)

    def _bury(self) -> None:
        """Frees the jobs of dead workers, at once or as soon as the database is available again."""
        for worker_id in tuple(self._dead):
            try:
                leave(self._database, worker_id)
            except DatabaseUnavailable:
                return
            except Exception:  # noqa: BLE001 - the keeper must survive any failure of its workers
                _log.exception("the jobs of a dead worker cannot be freed now")
                return
            forget(self._signs, worker_id)
            self._dead.discard(worker_id)


def _tell(pipe: Connection, word: str) -> None:
    try:
        pipe.send(word)
    except OSError:  # it is gone already
        _log.debug("the worker did not hear %r", word)


def run_worker(settings: Settings, worker_id: str, pipe: Connection, progress: Progress) -> None:
    """Runs a worker process from start to end; it exits when its keeper says so or is gone."""
    import signal

    # Ctrl-C reaches every process of a terminal; the keeper decides when this one leaves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(settings.log_format, "worker")
    set_library_env(settings)
    spans = tracer_provider(settings, "worker")
    if spans is not None:
        trace.set_tracer_provider(spans)
    worker = Worker(settings, load_engine, worker_id, progress)
    VitalThread(partial(_listen, pipe, worker), "listen", daemon=True).start()
    try:
        worker.run()
    finally:
        if spans is not None:
            spans.shutdown()


def _listen(pipe: Connection, worker: Worker) -> None:
    try:
        while (word := pipe.recv()) == "soon":
            worker.stop()
        assert word == "now"
        worker.stop(now=True)
    except (EOFError, OSError):
        _log.warning("the web process is gone: the job at hand goes back into the queue")
        worker.stop(now=True)
        if not worker.wait(ORPHAN_S):  # stuck, and no keeper is left to kill it
            end_process()
