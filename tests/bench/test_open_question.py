"""The arms of the open question that are read off the same tries."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.meter import Cost
from bench.open_question import SEEDS_ARMS, Made, Try, another_seed, read_figures, report, wishes


def _try(number: int, content: bool) -> Try:
    return Try(np.full((2, 2, 3), number, np.uint8), content, Cost(1.0, 10, 1, 2))


def test_the_first_picture_that_contents_the_detector_is_taken_and_all_before_it_paid_for():
    tries = [_try(0, False), _try(1, False), _try(2, True)]
    image, cost = another_seed(tries, 4)
    assert image[0, 0, 0] == 2 and cost == Cost(3.0, 30, 3, 6)


def test_the_last_is_taken_where_none_contents_it():
    tries = [_try(0, False), _try(1, False), _try(2, True)]
    image, cost = another_seed(tries, 2)
    assert image[0, 0, 0] == 1 and cost.seconds == 2.0
    image, cost = another_seed(tries, 1)
    assert image[0, 0, 0] == 0 and cost.seconds == 1.0


def test_a_and_b_differ_in_how_many_seeds_they_may_try():
    assert list(SEEDS_ARMS.values()) == [1, 2, 3, 4]


def test_no_two_wishes_share_a_seed():
    firsts = [seed for _, seed in wishes(200)]
    assert min(np.diff(firsts)) > max(SEEDS_ARMS.values())


def test_runs_of_single_arms_are_told_together(tmp_path: Path):
    made = Made("hand", True, Cost(1.0, 10, 1, 2))
    for name in ("e: repair", "a: what comes"):
        (tmp_path / f"{name[0]}.json").write_text(json.dumps({name: [asdict(made)]}))
    figures = read_figures([tmp_path / "e.json", tmp_path / "a.json"])
    assert list(figures) == ["a: what comes", "e: repair"]
    assert figures["e: repair"] == [made]


def test_arms_are_compared_with_the_one_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cost = Cost(1.0, 10, 1, 2)
    clean = {"a: what comes": [False, False], "b: up to 4 seeds": [True, False], "e: repair": [True, True]}
    figures = {name: [Made("hand", one, cost) for one in all_of] for name, all_of in clean.items()}
    report(figures, tmp_path, against="b4")
    told = capsys.readouterr().out
    assert "against b4, paired" in told
    assert "+1 −0" in next(line for line in told.splitlines() if "e: repair" in line)
    report(figures, tmp_path)
    assert "against a, paired" in capsys.readouterr().out
