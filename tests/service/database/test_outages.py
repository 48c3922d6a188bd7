"""A database that is away, or damaged: what the log says to the operator, and what clients are told."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bench.serving import until
from service import cli
from service.api.app import create_app
from service.core.errors import DatabaseUnavailable
from service.core.job_state import JobKind, JobState
from service.core.listener import SILENT, Listener
from service.core.report import RepairReport
from service.core.requests import GenerateRequest
from service.database.connect import Database
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob
from service.jobs.worker import Worker
from service.runtime.settings import Settings
from tests.service.jobs.conftest import LIMITS
from tests.service.live import until_ready
from tests.service.postgres import own_postgres
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine

NEW = NewJob(kind=JobKind.GENERATE, request={"prompt": "a hand", "seed": 1}, cost=1.0)
FILE = "anatomend.sqlite3"


def test_clients_are_told_nothing_of_hosts_and_the_log_is_told_once(caplog: pytest.LogCaptureFixture):
    pytest.importorskip("psycopg")
    database = Database("postgresql+psycopg://zoe:secret@127.0.0.1:1/jobs")
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable) as refused, database.read():
            pass
        assert not any(name in refused.value.detail for name in ("127.0.0.1", "zoe", "port", ":1"))
    assert "127.0.0.1" in caplog.text
    assert "secret" not in caplog.text
    assert len(caplog.records) == 1


def test_the_log_tells_when_it_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    database = Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    database.migrate()
    (tmp_path / "jobs.sqlite3").rename(tmp_path / "away")
    (tmp_path / "jobs.sqlite3").mkdir()
    database.close()
    with pytest.raises(DatabaseUnavailable):
        database.version()  # past SQLAlchemy: the driver's own exceptions
    (tmp_path / "jobs.sqlite3").rmdir()
    (tmp_path / "away").rename(tmp_path / "jobs.sqlite3")
    with caplog.at_level(logging.INFO):
        assert database.version() is not None
    assert "can be used again" in caplog.text
    database.close()


def overwrite(path: Path, first: int = 1) -> None:
    """Writes noise over all pages from a certain one on, and over what the write-ahead log holds."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(first * page_bytes)
        file.write(os.urandom(size - first * page_bytes))


@pytest.mark.parametrize("first", [0, 1], ids=["the header too", "all but the header"])
def test_a_damaged_file_is_named_in_one_line_at_start(
    tmp_path: Path,
    first: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
):
    settings = Settings(data_dir=tmp_path, model="stub")
    database = Database.of(settings)
    database.migrate()
    database.close()
    overwrite(tmp_path / FILE, first)
    monkeypatch.setenv("ANATOMEND_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ANATOMEND_MODEL", "stub")
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "--port", "0"])
    assert ended.value.code == DatabaseUnavailable.exit_code
    assert len(capsys.readouterr().err.splitlines()) <= 3
    (line,) = (
        record.getMessage() for record in caplog.records if str(tmp_path / FILE) in record.getMessage()
    )
    assert "is damaged" in line
    assert "backup" in line


def test_a_file_that_is_damaged_while_it_is_used_makes_the_service_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with TestClient(
        create_app(Settings(data_dir=tmp_path), lambda _: ScriptedEngine()),
        "http://localhost",
        raise_server_exceptions=False,
    ) as client:
        until_ready(client)
        assert client.post("/generate", json={"prompt": "x"}).status_code == 200
        overwrite(tmp_path / FILE)
        until(lambda: client.get("/jobs").json().get("code") == "database_damaged")
        assert_problem(client.post("/generate", json={"prompt": "x"}), 503, "database_damaged")
        until(lambda: client.get("/readyz").status_code == 503, 5)
        refused = assert_problem(client.get("/readyz"), 503, "database_damaged")
        assert str(tmp_path) not in str(refused)
        assert client.get("/livez").status_code == 200
    assert f"{tmp_path / FILE} is damaged" in caplog.text


def test_readyz_speaks_of_a_database_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with TestClient(
        create_app(Settings(data_dir=tmp_path), lambda _: ScriptedEngine()), "http://localhost"
    ) as client:
        until_ready(client)
        with monkeypatch.context() as away:

            def refuse() -> None:
                raise DatabaseUnavailable("the database cannot be used now", allowed="try again later")

            away.setattr(client.app.state.context.job_service.queue, "depth", refuse)
            until(lambda: client.get("/readyz").status_code == 503)
            assert_problem(client.get("/readyz"), 503, "database_unavailable")
        until_ready(client)


class SteppingEngine(ScriptedEngine):
    """Takes fifty milliseconds for each of its steps, and as many steps as it is told to."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__()
        self.over = over

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        done = 0
        while not self.over.is_set():
            self.entered.set()
            listener.progress("generate", done, 10_000)
            done += 1
            time.sleep(0.05)
        return super().generate(request, listener)


def test_postgresql_may_be_started_again_in_the_middle_of_a_job(tmp_path: Path):
    over = threading.Event()
    with own_postgres() as server:
        settings = Settings(data_dir=tmp_path, database_url=server.url)
        engine = SteppingEngine(over)
        worker = Worker(settings, lambda _: engine)
        worker._database.migrate()
        queue = JobQueue(worker._database, LIMITS)
        job, _ = queue.submit(NEW)
        thread = threading.Thread(target=worker.run)
        thread.start()
        assert engine.entered.wait(30)
        server.stop()
        time.sleep(1.0)  # some steps while nobody answers
        over.set()  # and the end of the job
        time.sleep(0.5)
        server.start()
        until(lambda: queue.get(job.id).state.is_final, 30)
        done = queue.get(job.id)
        assert (done.state, done.attempts, done.problem) == (JobState.SUCCEEDED, 1, None)
        worker.stop()
        thread.join(20)
