"""Checks that without a browser the page goes untested loudly; in CI that is a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / ".ci" / "browser"


def run(tmp_path: Path, uid: int, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script on a machine that has ``tmp_path`` for programs, and somebody with this id at it."""
    _program(tmp_path, "id", f"echo {uid}")
    for name in ("bash", "env", "touch", "chmod"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    known = {"PATH": str(tmp_path), "CHROMIUM": str(tmp_path / "chromium"), **environment}
    return subprocess.run([SCRIPT], env=known, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("environment", "code"), [({}, 0), ({"CI": "true"}, 1)])
def test_where_none_can_be_installed_it_is_said_and_in_ci_it_is_a_failure(tmp_path, environment, code):
    done = run(tmp_path, 1000, **environment)
    assert done.returncode == code
    assert "The page is not tested" in done.stderr


def test_who_is_not_root_is_told_why_a_password_is_asked_for(tmp_path: Path):
    _program(tmp_path, "apt-get", "exit 0")
    _program(
        tmp_path,
        "sudo",
        f'echo "$@" >> {tmp_path}/asked; touch {tmp_path}/chromium; chmod +x {tmp_path}/chromium',
    )
    done = run(tmp_path, 1000)
    assert (done.returncode, "needs root" in done.stderr) == (0, True)
    asked = (tmp_path / "asked").read_text()
    assert "apt-get update" in asked
    assert "install" in asked and "chromium" in asked


def test_a_browser_that_is_there_is_left_alone(tmp_path: Path):
    _program(tmp_path, "chromium", "exit 0")
    done = run(tmp_path, 1000, CI="true")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_without_a_browser_is_a_failure_in_ci():
    code = (
        "import pathlib, sys; from tests.ui import conftest;"
        "conftest.CHROMIUM = pathlib.Path('/none');"
        "sys.exit(next(conftest.chromium.__wrapped__()))"
    )
    for ci, word in ((None, "Skipped"), ("true", "Failed")):
        environment = {k: v for k, v in os.environ.items() if k != "CI"} | ({"CI": ci} if ci else {})
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=SCRIPT.parent.parent,
            capture_output=True,
            text=True,
        )
        assert f"{word}: no browser at /none" in done.stderr
