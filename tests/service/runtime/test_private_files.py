from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.database.connect import Database
from service.runtime.private_files import is_seen_by_others
from service.runtime.settings import Settings
from service.store.open_store import stores_of


@pytest.fixture(params=[0o022, 0o000, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(root: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}


def test_nobody_else_looks_into_the_data(tmp_path: Path, umask: None):
    data = tmp_path / "above" / "data"
    database = Database.of(Settings(data_dir=data))
    database.migrate()
    images, inputs = stores_of("", data)
    images.put(b"made")
    inputs.put(b"sent")
    seen = modes(tmp_path / "above")
    database.close()
    assert {name for name in seen if "sqlite3" in name} == {
        "anatomend.sqlite3", "anatomend.sqlite3-wal", "anatomend.sqlite3-shm",
    }  # fmt: skip
    files = {name: mode for name, mode in seen.items() if "." in name}
    assert set(files.values()) == {0o600}
    assert len(files) == 5
    assert {mode for name, mode in seen.items() if name not in files} == {0o700}


def test_a_database_that_others_could_read_is_taken_from_them(tmp_path: Path):
    path = tmp_path / "own.sqlite3"
    path.touch(0o644)
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_there_keeps_its_mode_and_it_is_told(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    Database.of(Settings(data_dir=tmp_path / "data")).close()
    assert is_seen_by_others(tmp_path / "data")
