"""Who runs the workers: a thread of this process (for tests), or a process of their own.

A cluster's executor would be a third one: it, too, only has to see that workers run, on the same database
and store.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
import uuid
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol

from opentelemetry import trace

from service.database.connect import Database
from service.jobs.engines import LoadEngine, load_engine
from service.jobs.leases import leave
from service.jobs.worker import Worker
from service.logs import configure_logs
from service.quiet import quiet
from service.settings import Settings
from service.tracing import tracer_provider

RESTART_AFTER_S = (0.2, 1.0, 5.0, 15.0)
"""Pauses before a worker that died is started again, longer each time it dies young."""
OLD_AGE_S = 60.0

_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Keeps a worker running."""

    def start(self) -> None:
        """Begins; returns at once."""
        ...

    def stop(self, grace_s: float) -> None:
        """Gives the running job so long to end, then puts it back; returns when all is still."""
        ...


class InlineExecutor:
    """A worker in a thread of this process."""

    def __init__(self, settings: Settings, load: LoadEngine = load_engine) -> None:
        self._worker = Worker(settings, load)
        self._thread = threading.Thread(target=self._worker.run, name="worker")

    def start(self) -> None:
        """Begins; returns at once."""
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """See the protocol."""
        self._worker.stop()
        self._thread.join(grace_s)
        self._worker.stop(now=True)
        self._thread.join()


class ProcessExecutor:
    """A worker in a process of its own, started again whenever it dies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._grace_s = 0.0
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self.pid: int | None = None

    def start(self) -> None:
        """Begins; returns at once."""
        self._keeper.start()

    def stop(self, grace_s: float) -> None:
        """See the protocol."""
        self._grace_s = grace_s
        self._stopping.set()
        self._keeper.join()

    def _keep(self) -> None:
        context = multiprocessing.get_context("spawn")
        database = Database.of(self._settings)
        deaths = 0
        while not self._stopping.is_set():
            here, there = context.Pipe()
            worker_id = uuid.uuid4().hex
            process = context.Process(
                target=run_worker, args=(self._settings, worker_id, there), name="anatomend-worker"
            )
            process.start()
            there.close()
            self.pid = process.pid
            lived_s = self._watch(process, here)
            here.close()
            if self._stopping.is_set():
                break
            _log.error("the worker died with exit code %s; it is started again", process.exitcode)
            leave(database, worker_id)
            deaths = 1 if lived_s > OLD_AGE_S else deaths + 1
            self._stopping.wait(RESTART_AFTER_S[min(deaths, len(RESTART_AFTER_S)) - 1])
        database.close()

    def _watch(self, process: multiprocessing.process.BaseProcess, pipe: Connection) -> float:
        """Waits until the process is gone, and sees it out when this service stops. Returns its age."""
        age_s = 0.0
        while process.is_alive() and not self._stopping.is_set():
            process.join(0.05)
            age_s += 0.05
        if self._stopping.is_set() and process.is_alive():
            _tell(pipe, "soon")
            process.join(self._grace_s)
            _tell(pipe, "now")
            process.join(self._grace_s)
            if process.is_alive():  # stuck inside a library; its job is claimed again later
                process.kill()
                process.join()
        return age_s


def _tell(pipe: Connection, word: str) -> None:
    try:
        pipe.send(word)
    except OSError:  # it is gone already
        _log.debug("the worker did not hear %r", word)


def run_worker(settings: Settings, worker_id: str, pipe: Connection) -> None:
    """A worker process, from its first line to its last; it leaves when its keeper says so or is gone."""
    import signal

    # Ctrl-C reaches every process of a terminal; the keeper decides when this one leaves.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(settings.log_format, "worker")
    quiet(settings)
    spans = tracer_provider(settings, "worker")
    if spans is not None:
        trace.set_tracer_provider(spans)
    worker = Worker(settings, load_engine, worker_id)
    threading.Thread(target=_listen, args=(pipe, worker.stop), daemon=True, name="listen").start()
    try:
        worker.run()
    finally:
        if spans is not None:
            spans.shutdown()


def _listen(pipe: Connection, stop: Callable[[bool], None]) -> None:
    try:
        while (word := pipe.recv()) == "soon":
            stop(False)
        assert word == "now"
    except EOFError:
        _log.warning("the web process is gone: the job at hand goes back into the queue")
    stop(True)
