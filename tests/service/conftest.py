from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.service.postgres import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def new_postgres(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database and gives its address."""
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    numbers = count()

    def make() -> str:
        name = f"test_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)

    yield make
    engine.dispose()
