from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from sqlalchemy import create_engine, make_url, text

from service.runtime.settings import Settings
from tests.service.live import live
from tests.service.postgres import postgres
from tests.service.scripted import ScriptedEngine


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


@pytest.fixture(scope="module")
def live_engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture(scope="module")
def url(live_engine: ScriptedEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One service for all tests of a file: starting one takes longer than any of them."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("served"), max_side_px=512)
    with live(settings, live_engine) as address:
        yield address


@pytest.fixture
def scripted(live_engine: ScriptedEngine) -> ScriptedEngine:
    """The engine of that service, as new."""
    live_engine.__init__()  # type: ignore[misc]
    return live_engine
