from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from service.database.connect import MIGRATIONS, Database
from service.database.schema import metadata


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.sqlite3'}"
    make: Callable[[], str] = request.getfixturevalue("new_postgres")
    return make()


def test_migrations_lead_to_the_schema(url: str):
    database = Database(url)
    database.migrate()
    database.migrate()  # twice is once
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(metadata.tables) < set(inspect(connection).get_table_names())
    database.close()


def start(url: str, gate: object, answers: object) -> None:
    database = Database(url)
    gate.wait()  # type: ignore[attr-defined]
    try:
        database.migrate()
        answers.put("")  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - told to the test
        answers.put(repr(error))  # type: ignore[attr-defined]
    database.close()


def test_two_that_start_at_once_do_not_collide(url: str):
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=start, args=(url, gate, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [""] * 2
    for process in processes:
        process.join()


class LockedTwice(sqlite3.Connection):
    """Answers as SQLite does while another connection sets the mode of the same new file."""

    refusals: ClassVar[list[str]] = ["first", "second"]

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if "journal_mode=" in sql and self.refusals:
            self.refusals.pop()
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *parameters)


def test_a_journal_that_another_sets_at_the_same_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite3.dbapi2, "connect", partial(sqlite3.connect, factory=LockedTwice))
    database = Database(f"sqlite:///{tmp_path / 'new.sqlite3'}")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert not LockedTwice.refusals
    database.close()


def test_the_migrations_travel_with_the_package():
    assert (MIGRATIONS / "script.py.mako").is_file()
    assert len(list((MIGRATIONS / "versions").glob("0*.py"))) >= 2
