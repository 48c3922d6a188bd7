"""A PostgreSQL server for one test run: started from the machine's own binaries, thrown away afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from sqlalchemy import create_engine, make_url, text

from bench.postgres import NoPostgres, PostgresServer


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A server of its own for a test that stops it; skips the test where there is none."""
    pytest.importorskip("psycopg")
    try:
        server = PostgresServer()
    except NoPostgres as error:
        pytest.skip(str(error))
    with server:
        yield server


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database on a server of its own; skips the test where there is none."""
    with own_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], str]]:
    """Makes an empty database and gives its address."""
    with postgres() as server:
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        numbers = count()

        def make() -> str:
            name = f"test_{next(numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            return make_url(server).set(database=name).render_as_string(hide_password=False)

        yield make
        engine.dispose()
