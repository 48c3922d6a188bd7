from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.engine.protocol import LoadEngine
from service.runtime.settings import Settings
from tests.service.live import until_ready
from tests.service.scripted import ScriptedEngine

TEST_CLIENT = "testserver"
"""The name by which a TestClient asks."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", max_side_px=512, allowed_hosts=TEST_CLIENT)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def serve(settings: Settings, engine: ScriptedEngine) -> Callable[..., object]:
    """Opens a client of a service with this test's engine, once that is loaded."""

    @contextmanager
    def served(load: LoadEngine = lambda _: engine, **changes: object) -> Iterator[TestClient]:
        app = create_app(settings.model_copy(update=changes), load)
        with TestClient(app, raise_server_exceptions=False) as client:
            until_ready(client)
            yield client

    return served


@pytest.fixture
def client(serve: Callable[..., object]) -> Iterator[TestClient]:
    with serve() as client:
        yield client
