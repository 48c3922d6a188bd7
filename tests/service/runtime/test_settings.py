from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.core.errors import InvalidSettings
from service.runtime.settings import Settings, read_settings

README = Path(__file__).resolve().parents[3] / "docs" / "operations.md"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANATOMEND_MAX_SIDE_PX", "512")
    monkeypatch.setenv("ANATOMEND_DATA_DIR", "elsewhere")
    settings = read_settings()
    assert (settings.max_side_px, settings.data_dir) == (512, Path("elsewhere"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "http://a"),
        ("ALLOWED_HOSTS", "a.example:80"),
        ("ALLOWED_HOSTS", "*.a"),
        ("THREADS", "-1"),
        ("MAX_SIDE_PX", "63"),
        ("MAX_UPLOAD_MB", "much"),
        ("MAX_UPLOAD_MEGAPIXELS", "0"),
    ],
)
def test_what_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"ANATOMEND_{name}", value)
    with pytest.raises(InvalidSettings, match=f"ANATOMEND_{name}: "):
        read_settings()


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_readme_tells_every_setting(name: str):
    field = Settings.model_fields[name]
    line = next(
        line for line in README.read_text().splitlines() if line.startswith(f"| `ANATOMEND_{name.upper()}` |")
    )
    assert name == "models_dir" or f"`{field.default}`" in line
