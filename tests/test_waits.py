"""Tests wait with a limit: what never comes true fails in a minute, and holds up nobody for hours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.stem)
def test_no_loop_waits_for_ever(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    endless = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.While) and all(isinstance(line, ast.Pass) for line in node.body)
    ]
    assert not endless, "use bench.serving.until"
