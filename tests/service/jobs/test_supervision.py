"""Whoever looks after something survives that it fails: the keeper, the pulse, the watchers, the chores."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from bench.serving import until
from service.api.app import create_app
from service.core.errors import DatabaseUnavailable
from service.core.job_state import JobKind, JobState
from service.database.connect import Database
from service.jobs import executors, housekeeping, vital_thread
from service.jobs.executors import ProcessExecutor
from service.jobs.job_service import JobService
from service.jobs.leases import Leases, living_workers
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, WorkerFacts
from service.jobs.worker import Worker
from service.runtime.settings import Settings
from tests.service.jobs.conftest import LIMITS
from tests.service.live import until_ready
from tests.service.problems import assert_problem
from tests.service.scripted import MODELS, ScriptedEngine

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)
AWAY = DatabaseUnavailable("locked")


class Processes:
    """Stands for multiprocessing: each process dies at once, and some cannot even be started."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.failures = 0

    def Pipe(self) -> tuple[Any, Any]:  # noqa: N802 - as in multiprocessing
        import multiprocessing

        return multiprocessing.Pipe()

    def Process(self, target: Any, args: tuple[Any, ...], name: str) -> Any:  # noqa: N802
        def start() -> None:
            if self.failures:
                self.failures -= 1
                raise OSError("cannot allocate memory")
            self.ids.append(args[1])

        is_alive = threading.Event()
        return SimpleNamespace(
            start=start,
            pid=1,
            exitcode=-9,
            is_alive=is_alive.is_set,
            kill=is_alive.clear,
            join=lambda *_: time.sleep(0.001),
        )


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    made = Settings(data_dir=tmp_path, model="stub")
    database = Database.of(made)
    database.migrate()
    database.close()
    return made


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(executors.multiprocessing, "get_context", lambda _: made)
    monkeypatch.setattr(executors, "RESTART_AFTER_S", (0.01,))
    return made


def test_the_keeper_survives_a_database_that_is_away_when_its_worker_dies(
    settings: Settings, processes: Processes, monkeypatch: pytest.MonkeyPatch
):
    refusals, left = [AWAY, AWAY, RuntimeError("anything")], list[str]()

    def leave(_: Database, worker: str) -> None:
        if refusals:
            raise refusals.pop()
        left.append(worker)

    monkeypatch.setattr(executors, "leave", leave)
    executor = ProcessExecutor(settings)
    executor.start()
    try:
        until(lambda: len(left) >= 4, 10)
        assert set(processes.ids[:3]) <= set(left), "those that could not be noted then are noted later"
        assert not executor.has_failed
    finally:
        executor.stop(0)


def test_the_keeper_survives_a_process_that_cannot_be_started(settings: Settings, processes: Processes):
    processes.failures = 3
    executor = ProcessExecutor(settings)
    executor.start()
    try:
        until(lambda: processes.ids, 10)
        assert executor.down_s > 0
    finally:
        executor.stop(0)


def test_jobs_of_dead_workers_of_this_machine_are_free_at_a_start_whatever_the_clock_says(
    settings: Settings, processes: Processes
):
    database = Database.of(settings)
    JobQueue(database, LIMITS).submit(NEW)
    assert Leases(database, "ghost", lease_s=3600).claim() is not None
    signs = settings.data_dir / executors.FOLDER
    signs.mkdir()
    (signs / "ghost.alive").touch()  # nobody holds it
    assert Leases(database, "other").claim() is None
    executor = ProcessExecutor(settings)
    executor.start()
    try:
        assert until(lambda: Leases(database, "other").claim(), 10).job.attempts == 2
        until(lambda: not list(signs.iterdir()), 10)
    finally:
        executor.stop(0)
        database.close()


class ResumePoint:
    """An executor that says what it is told to say."""

    worker_id, down_s, has_failed = "w", 0.0, False

    def start(self) -> None:
        """Nothing."""

    def stop(self, grace_s: float) -> None:
        """Nothing."""


def test_a_service_whose_keeper_has_ended_ends(settings: Settings):
    kept, told = ResumePoint(), threading.Event()

    async def run() -> None:
        job_service = JobService(settings, kept, told.set)
        await job_service.start()
        await anyio.sleep(0.1)
        assert not told.is_set()
        kept.has_failed = True
        with anyio.fail_after(10):
            while job_service.failure is None:
                await anyio.sleep(0.01)
        await job_service.stop()

    asyncio.run(run())
    assert told.is_set()


def test_the_watcher_of_the_workers_survives_whatever_it_meets(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    async def run() -> None:
        job_service = JobService(settings, ResumePoint())
        depth, failures = job_service.queue.depth, [ValueError("a bad row"), AWAY]

        def fails_twice() -> Any:
            if failures:
                raise failures.pop()
            return depth()

        monkeypatch.setattr(job_service.queue, "depth", fails_twice)
        await job_service.start()
        Leases(job_service.database, "w").tell(WorkerFacts(id="w", state="ready", seen_at=0.0))
        with anyio.fail_after(10):
            while not job_service.workers:
                await anyio.sleep(0.01)
        await job_service.stop()

    asyncio.run(run())


def test_a_vital_thread_that_fails_takes_its_process_along():
    ended: list[str] = []

    def fail() -> None:
        raise RuntimeError("broken")

    for run in (fail, lambda: None):
        thread = vital_thread.VitalThread(run, "x", on_death=lambda: ended.append("ended"))
        thread.start()
        thread.join(5)
    assert ended == ["ended"]


def test_a_chore_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(housekeeping, "EVERY_S", 0.01)
    rounds: list[int] = []

    def tidy() -> None:
        rounds.append(1)
        raise ValueError("a row that nobody foresaw")

    async def run() -> None:
        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as chores:
                chores.start_soon(housekeeping.keep_house, SimpleNamespace(tidy=tidy))
                while len(rounds) < 3:
                    await anyio.sleep(0.01)
                chores.cancel_scope.cancel()
        assert not scope.cancelled_caught

    anyio.run(run)


def test_a_worker_begins_and_ends_though_the_database_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("service.jobs.worker.AGAIN_S", 0.02)
    refusals = {"tell": 2, "succeed": 7, "leave": 1}
    for name in refusals:
        whole = getattr(Leases, name)

        def refuse(self: Leases, *args: Any, name: str = name, whole: Any = whole) -> Any:
            if refusals[name]:
                refusals[name] -= 1
                raise AWAY
            return whole(self, *args)

        monkeypatch.setattr(Leases, name, refuse)
    worker = Worker(settings, lambda _: ScriptedEngine())
    queue = JobQueue(worker._database, LIMITS)
    job, _ = queue.submit(NEW)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: queue.get(job.id).state is JobState.SUCCEEDED, 20)
    assert queue.get(job.id).attempts == 1
    assert until(lambda: living_workers(worker._database))[0].state == "ready"
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert not any(refusals.values())


def test_livez_says_so_where_no_worker_comes_up_for_too_long(settings: Settings):
    loaded = threading.Event()

    def load(_: Settings) -> ScriptedEngine:
        assert loaded.wait(60)
        return ScriptedEngine()

    with TestClient(
        create_app(settings.model_copy(update={"worker_start_s": 1.0}), load), "http://localhost"
    ) as client:
        assert client.get("/livez").status_code == 200
        until(lambda: client.get("/livez").status_code == 503)
        assert_problem(client.get("/livez"), 503, "no_worker")
        loaded.set()
        until_ready(client)
        assert client.get("/livez").status_code == 200


def test_another_services_worker_and_a_dead_one_count_for_nothing(settings: Settings):
    database = Database.of(settings)
    others = WorkerFacts(
        id="other",
        state="ready",
        seen_at=0.0,
        models=({"role": "generator", "id": "another model"},),
        class_names=("hand",),
    )
    Leases(database, "other").tell(others)
    loaded = threading.Event()

    def load(_: Settings) -> ScriptedEngine:
        assert loaded.wait(60)
        return ScriptedEngine()

    with TestClient(create_app(settings, load), "http://localhost") as client:
        until(lambda: client.app.state.context.job_service.workers)  # its own, which is starting
        assert_problem(client.get("/readyz"), 503, "not_ready")
        assert_problem(client.get("/models"), 503, "not_ready")
        loaded.set()
        until_ready(client)
        assert {card["id"] for card in client.get("/models").json()["models"]} == set(MODELS.values())
    database.close()
