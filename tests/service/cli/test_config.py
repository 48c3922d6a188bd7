from __future__ import annotations

import json

import pytest

from service import cli
from service.cli.config import masked
from service.runtime.settings import Settings, unknown_variables


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments])
    return caught.value.code or 0


def test_every_setting_is_told(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("ANATOMEND_THREADS", "3")
    monkeypatch.setenv("ANATOMEND_MAX_SIDE_PXX", "64")
    assert run("config", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["variable"]: row for row in told["settings"]}
    assert set(rows) == {f"ANATOMEND_{name.upper()}" for name in Settings.model_fields}
    assert all(row["description"] for row in rows.values())
    threads = rows["ANATOMEND_THREADS"]
    assert (threads["value"], threads["default"], threads["is_set"]) == ("3", "0", True)
    assert told["unknown"] == ["ANATOMEND_MAX_SIDE_PXX"]
    assert run("config") == 0
    printed = capsys.readouterr()
    assert "ANATOMEND_THREADS=3   (default: 0)\n" in printed.out
    assert "ANATOMEND_MAX_SIDE_PXX is set, and is no setting" in printed.err


def test_passwords_are_hidden(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("ANATOMEND_DATABASE_URL", "postgresql+psycopg://me:hunter2@db:5432/a?password=hunter2")
    monkeypatch.setenv("ANATOMEND_OTLP_ENDPOINT", "https://me:hunter2@collector.example/x")
    assert run("config") == 0
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "postgresql+psycopg://me:***@db:5432/a?***" in out


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("bundled", "bundled"),
        ("owner/name", "owner/name"),
        ("", ""),
        ("sqlite:///data/a.sqlite3", "sqlite:///data/a.sqlite3"),
        ("https://host/x", "https://host/x"),
        ("https://me@host/x", "https://me@host/x"),
        ("https://me:p@ss:word@host/x", "https://me:***@host/x"),
        ("s3://bucket/prefix?endpoint=https://host", "s3://bucket/prefix?***"),
    ],
)
def test_what_is_hidden_of_an_address(value: str, told: str):
    assert masked(value) == told


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CORS_ORIGINS", "studio.example", "no origin"),
        ("CORS_ORIGINS", "https://studio.example/path", "no origin"),
        ("OTLP_ENDPOINT", "collector:4318", "http"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("KEEP_DAYS", "-1", "greater than or equal to 0"),
        ("REQUIRE_KEYS", "perhaps", "boolean"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(monkeypatch, capsys, name: str, value: str, words: str):
    monkeypatch.setenv(f"ANATOMEND_{name}", value)
    assert run("config") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"ANATOMEND_{name}: " in printed.err
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_misspelt_variables_are_found():
    assert unknown_variables(
        {"ANATOMEND_MODLE": "x", "ANATOMEND_MODEL": "x", "anatomend_device": "cpu", "HOME": ""}
    ) == ["ANATOMEND_MODLE"]
