"""Tests what is counted of the parts that were redrawn and looked at."""

from __future__ import annotations

from bench.redrawn import Redrawn, redrawn_parts, rows
from training.remembered import truth_of


def line(word: str, place=(10, 10, 30, 50), strength: float = 0.5) -> dict:
    parts = [["horse", 0, 0, 90, 90], ["limb", 11, 10, 30, 50, word], ["limb", 60, 10, 80, 50, "b"]]
    redrawn = {"places": [["malformed_limb", list(place)]], "strength": strength, "inpainter": "any@1"}
    kept = {"kind": "horse", "seed": 1, "caption": "a horse", "redrawn": redrawn, "parts": parts}
    return truth_of(kept)


def test_the_part_that_lies_there_is_counted():
    assert list(redrawn_parts([line("g"), line("b")])) == [
        Redrawn("horse", 0.5, True),
        Redrawn("horse", 0.5, False),
    ]


def test_what_is_not_there_any_more_and_what_was_not_redrawn_is_not():
    whole = line("g")
    del whole["redrawn"]
    assert list(redrawn_parts([whole, line("g", place=(30, 60, 50, 90))])) == []


def test_the_cost_of_a_good_one_counts_the_strength():
    parts = [Redrawn("horse", 0.5, True), Redrawn("horse", 0.5, False), Redrawn("horse", 1.0, True)]
    assert [row[-1] for row in rows(parts)] == ["1.0", "1.0"]
