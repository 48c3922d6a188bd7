"""Tests whether anything was written, told without reading it."""

from __future__ import annotations

from pathlib import Path

from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, QueueLimits


def test_it_changes_when_something_is_written_and_only_then(tmp_path: Path):
    database, other = (Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}") for _ in range(2))
    database.migrate()
    first = database.version()
    assert database.version() == first
    for writer in (database, other):
        before = database.version()
        JobQueue(writer, QueueLimits(cost=100, jobs=100, jobs_per_owner=100)).submit(
            NewJob(kind=JobKind.GENERATE, request={}, cost=1.0)
        )
        after = database.version()
        assert after != before
        with writer.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM jobs")
        assert database.version() == after
    database.close()
    other.close()
