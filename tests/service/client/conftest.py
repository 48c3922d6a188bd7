from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.settings import Settings
from tests.service.live import live
from tests.service.scripted import ScriptedEngine


@pytest.fixture(scope="module")
def _engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture(scope="module")
def url(_engine: ScriptedEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One service for all tests of a file: starting one takes longer than any of them."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("served"), max_side_px=512)
    with live(settings, _engine) as address:
        yield address


@pytest.fixture
def engine(_engine: ScriptedEngine) -> ScriptedEngine:
    """The engine of that service, as new."""
    _engine.__init__()  # type: ignore[misc]
    return _engine
