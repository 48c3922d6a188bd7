"""The command line where a service does the work: the same words and files as where this machine does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from service import cli
from service.cli import local
from service.core.report import Outcome
from tests.service.scripted import MODELS, ScriptedEngine, encoded, noise

PNG = encoded(noise((40, 48), 1))
FILES = ("out.png", "out-1.png", "out-2.png", "sheet.png")


@pytest.fixture
def loads(scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Returns what was loaded on this machine; it gets the service's own engine."""
    loads: list[object] = []

    def load(settings: object) -> ScriptedEngine:
        loads.append(settings)
        return scripted

    monkeypatch.setattr(local, "load_engine", load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.png").write_bytes(PNG)
    return loads


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments])
    return caught.value.code or 0


def outcome(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> tuple[str, dict[str, bytes]]:
    """Returns what a run prints, and the files that it leaves."""
    for name in FILES:
        Path(name).unlink(missing_ok=True)
    assert run(*arguments) == 0
    return capsys.readouterr().out, {name: Path(name).read_bytes() for name in FILES if Path(name).exists()}


@pytest.mark.parametrize(
    "command",
    [
        ("generate", "x", "-o", "out.png", "--seed", "8", "--num-images", "2", "--sheet", "sheet.png"),
        ("generate", "x", "-o", "out.png", "--seed", "8", "--no-repair", "--width", "72", "--conf", "0.4"),
        ("repair", "in.png", "-o", "out.png", "--seed", "8", "--mask", "in.png", "--sheet", "sheet.png"),
        ("repair", "in.png", "--dry-run", "--seed", "8"),
        ("detect", "in.png", "--sheet", "sheet.png"),
        ("detect", "in.png", "--conf", "0.6", "--json"),
        ("models",),
        ("models", "--json"),
    ],
)
def test_the_same_words_and_files(scripted: ScriptedEngine, loads: list[object], url: str, capsys, command):
    scripted.outcome = Outcome.REPAIRED
    here = outcome(capsys, command)
    assert len(loads) == 1
    assert outcome(capsys, ("--server", url, *command)) == here
    assert len(loads) == 1
    assert here[0]


def test_the_same_json(scripted: ScriptedEngine, loads: list[object], url: str, capsys, monkeypatch):
    scripted.outcome = Outcome.REPAIRED
    command = ("repair", "in.png", "-o", "out.png", "--seed", "8", "--json")
    here = json.loads(outcome(capsys, command)[0])
    monkeypatch.setenv("ANATOMEND_SERVER", url)
    there = json.loads(outcome(capsys, command)[0])
    assert there.pop("id") != here.pop("id")
    assert there == here


def test_options_reach_the_service(scripted: ScriptedEngine, loads: list[object], url: str):
    arguments = "--steps", "4", "--class", "malformed_hand", "--strength", "0.5", "--policy", "every"
    assert run("--server", url, "generate", "x", "-o", "out.png", *arguments) == 0
    wish = scripted.requests[0]
    assert (wish.num_inference_steps, wish.repair.classes, wish.repair.strengths, wish.repair.policy) == (
        4, ("malformed_hand",), (0.5,), "every",
    )  # fmt: skip


def test_jobs(scripted: ScriptedEngine, loads: list[object], url: str, capsys):
    assert run("--server", url, "generate", "a fine hand", "-o", "out.png") == 0
    capsys.readouterr()
    assert run("--server", url, "jobs", "--limit", "1", "--json") == 0
    newest = json.loads(capsys.readouterr().out)["jobs"]
    assert [(job["kind"], job["state"]) for job in newest] == [("generate", "succeeded")]
    assert run("--server", url, "jobs", newest[0]["id"], "--json") == 0
    assert json.loads(capsys.readouterr().out) == newest[0]
    assert run("--server", url, "jobs", newest[0]["id"], "--cancel") == 0
    assert run("--server", url, "jobs") == 0
    assert "succeeded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["jobs"], 2, "--server URL"),
        (["--server", "URL", "jobs", "--cancel"], 2, "no job is named"),
        (["--server", "URL", "jobs", "none"], 2, "no job"),
        (["--server", "URL", "generate", "x", "-o", "o.png", "--width", "1024"], 2, "512"),
        (["--server", "URL", "repair", "text.png", "-o", "o.png"], 2, "not a picture"),
        (["--server", "http://127.0.0.1:9", "models"], 4, "cannot be reached"),
    ],
)
def test_mistakes_are_one_line(
    scripted: ScriptedEngine, loads: list[object], url: str, capsys, arguments, code, words
):
    Path("text.png").write_text("text")
    assert run(*(url if argument == "URL" else argument for argument in arguments)) == code
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert not scripted.requests


def test_no_model_library_is_imported(scripted: ScriptedEngine, url: str):
    script = (
        "import sys\n"
        "from service.cli import main\n"
        "try:\n    main(['--server', sys.argv[1], 'models', '--json'])\n"
        "finally:\n    print({'torch', 'diffusers', 'ultralytics', 'fastapi'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert MODELS["generator"] in done.stdout
    assert done.stdout.endswith("set()\n")
