from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.database.connect import Database
from service.jobs.leases import Leases
from service.jobs.queue import JobQueue
from service.jobs.records import QueueLimits
from tests.service.postgres import new_postgres

__all__ = ["new_postgres"]

LIMITS = QueueLimits(cost=1e6, jobs=10_000, jobs_per_owner=10_000)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Both kinds that the service runs on; PostgreSQL where its server is installed."""
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    else:
        opened = Database(request.getfixturevalue("new_postgres")())
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def queue(database: Database) -> JobQueue:
    return JobQueue(database, LIMITS)


@pytest.fixture
def leases(database: Database) -> Callable[..., Leases]:
    """Makes another worker's view of the table."""
    return lambda name="worker", lease_s=60.0: Leases(database, name, lease_s)
