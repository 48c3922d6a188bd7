from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import cli


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANATOMEND_DATA_DIR", str(tmp_path / "data"))


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments])
    return caught.value.code or 0


def test_a_key_is_shown_once_and_then_only_listed(capsys):
    assert run("keys", "add", "ada [bold]") == 0
    shown = capsys.readouterr()
    secret = shown.out.strip()
    assert secret.startswith("anatomend_")
    assert secret not in shown.err
    assert run("keys", "add", "root", "--scope", "admin", "--scope", "use", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["scopes"] == ["admin", "use"]
    assert run("keys", "list", "--json") == 0
    listed = capsys.readouterr().out
    assert secret not in listed
    assert made["key"] not in listed
    assert [key["name"] for key in json.loads(listed)["keys"]] == ["ada [bold]", "root"]
    assert run("keys", "list") == 0
    assert "ada [bold]" in capsys.readouterr().out


def test_a_key_is_revoked_by_its_id(capsys):
    run("keys", "add", "ada", "--json")
    key_id = json.loads(capsys.readouterr().out)["id"]
    assert run("keys", "revoke", key_id) == 0
    assert f"{key_id} (ada) is revoked" in capsys.readouterr().err
    run("keys", "list", "--json")
    assert json.loads(capsys.readouterr().out)["keys"][0]["revoked_at"]


@pytest.mark.parametrize(
    "arguments", [("revoke", "nobody"), ("add", ""), ("add", "ada", "--scope", "everything")]
)
def test_mistakes(capsys, arguments: tuple[str, ...]):
    assert run("keys", *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_public_address_without_keys_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("PORT", "0")
    assert run("serve", "--host", "0.0.0.0") == 2
    assert "there are no keys" in capsys.readouterr().err
