from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.runtime.library_env import set_library_env
from service.runtime.settings import Settings

NAMES = (
    "YOLO_OFFLINE",
    "YOLO_AUTOINSTALL",
    "ULTRALYTICS_SAFE_LOAD",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_OFFLINE",
    "GOMP_SPINCOUNT",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)


def test_the_libraries_are_told():
    set_library_env(Settings())
    assert [os.environ[name] for name in NAMES] == ["true", "false", "true", "1", "1", "10000"]


def test_the_operators_word_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("YOLO_OFFLINE", "false")
    set_library_env(Settings())
    assert os.environ["YOLO_OFFLINE"] == "false"


def test_the_hub_is_asked_only_where_the_model_needs_it(tmp_path: Path):
    set_library_env(Settings(model="someone/some-model"))
    assert "HF_HUB_OFFLINE" not in os.environ
    set_library_env(Settings(repair_model="someone/some-model"))
    assert "HF_HUB_OFFLINE" not in os.environ
    set_library_env(Settings(model=str(tmp_path), repair_model=""))
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_nothing_heavy_is_imported_for_help():
    """Nor is a model library there before ``set_library_env`` has spoken."""
    code = (
        "import sys, service.cli, service.api.app\n"
        "heavy = {'torch', 'ultralytics', 'diffusers', 'transformers', 'huggingface_hub', 'cv2'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
