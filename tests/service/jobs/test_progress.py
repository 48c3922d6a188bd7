"""Progress is the pulse: a worker that does nothing for too long counts as dead, whatever else it says."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.serving import until
from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs import liveness as signs
from service.jobs.leases import Leases, living_workers
from service.jobs.progress import Progress, Watchdog, patience_s
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob
from service.jobs.worker import Worker
from service.runtime.settings import Settings
from tests.service.jobs.conftest import LIMITS
from tests.service.scripted import ScriptedEngine

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_does_nothing_for_longer_than_allowed_is_stuck():
    clock, progress = Clock(), Progress()
    dog = Watchdog(progress, clock)
    clock.now = 1e6
    assert not dog.is_stuck(), "models may take any time to load"
    progress.allow(10.0)
    for second in range(100):  # steps of nine seconds
        clock.now += 1
        if second % 9 == 0:
            progress.beat()
        assert not dog.is_stuck()
    stuck = []
    for _ in range(12):
        clock.now += 1
        stuck.append(dog.is_stuck())
    assert stuck[-1]
    assert not stuck[0]


def test_a_pause_of_the_whole_machine_is_held_against_nobody():
    clock, progress = Clock(), Progress()
    progress.allow(60.0)
    dog = Watchdog(progress, clock)
    clock.now += 3600
    assert not dog.is_stuck()


@pytest.mark.parametrize(("cost", "times"), [(0.1, 1), (100, 1), (250, 2.5), (91_268, 10)])
def test_a_costly_job_is_given_more_time_and_none_is_given_for_ever(cost: float, times: float):
    assert patience_s(300, cost) == 300 * times


def test_a_hung_worker_shows_no_life_and_its_job_goes_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its pulse is a thread of its own, which no hanging step stops."""
    monkeypatch.setattr("service.jobs.worker.LEASE_S", 0.15)
    settings = Settings(data_dir=tmp_path, stall_s=0.4)
    engine = ScriptedEngine(gate=threading.Event())
    worker = Worker(settings, lambda _: engine)
    worker._leases._lease_s = 0.5
    database = Database.of(settings)
    database.migrate()
    JobQueue(database, LIMITS).submit(NEW)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert engine.entered.wait(20)
    assert until(lambda: Leases(database, "other").claim()).job.attempts == 2
    assert until(lambda: not living_workers(database, silent_s=0.5))
    engine.gate.set()
    worker.stop()
    thread.join(20)
    assert not thread.is_alive()
    database.close()


HOLDER = """
import sys, time
from pathlib import Path
from service.jobs.liveness import alive
with alive(Path(sys.argv[1]), "a" * 32):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_workers_sign_of_life_ends_with_its_process(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert signs.dead(tmp_path) == set()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert signs.dead(tmp_path) == {"a" * 32}
    signs.forget(tmp_path, "a" * 32)
    assert signs.dead(tmp_path) == set()


def test_a_worker_that_can_leave_no_sign_works_all_the_same(tmp_path: Path):
    (tmp_path / "file").touch()
    with signs.alive(tmp_path / "file", "a"):
        assert signs.dead(tmp_path / "file") == set()
