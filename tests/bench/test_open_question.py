"""The arms of the open question that are read off the same tries."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.arms import ARMS, arm_named, arms_named
from bench.meter import Cost
from bench.open_question import SEEDS_ARMS, Arms, Made, Try, another_seed, read_figures, report, requests


def _try(number: int, accepted: bool) -> Try:
    return Try(np.full((2, 2, 3), number, np.uint8), accepted, Cost(1.0, 10, 1, 2))


def test_the_first_accepted_picture_is_taken_and_all_before_it_are_paid_for():
    tries = [_try(0, False), _try(1, False), _try(2, True)]
    image, cost = another_seed(tries, 4)
    assert image[0, 0, 0] == 2 and cost == Cost(3.0, 30, 3, 6)


def test_the_last_is_taken_where_none_is_accepted():
    tries = [_try(0, False), _try(1, False), _try(2, True)]
    image, cost = another_seed(tries, 2)
    assert image[0, 0, 0] == 1 and cost.seconds == 2.0
    image, cost = another_seed(tries, 1)
    assert image[0, 0, 0] == 0 and cost.seconds == 1.0


def test_a_and_b_differ_in_how_many_seeds_they_may_try():
    assert list(SEEDS_ARMS.values()) == [1, 2, 3, 4]


def test_no_two_requests_share_a_seed():
    firsts = [seed for _, seed in requests(200)]
    assert min(np.diff(firsts)) > max(SEEDS_ARMS.values())


def test_figures_of_single_arms_are_read_together(tmp_path: Path):
    made = Made("hand", True, Cost(1.0, 10, 1, 2))
    for name in ("repair", "first_seed"):
        (tmp_path / f"{name}.json").write_text(json.dumps({name: [asdict(made)]}))
    figures = read_figures([tmp_path / "repair.json", tmp_path / "first_seed.json"])
    assert [arm.id for arm in figures] == ["first_seed", "repair"]
    assert figures[arm_named("repair")] == [made]


def test_figures_of_runs_before_arms_had_ids_are_read(tmp_path: Path):
    made = Made("hand", True, Cost(1.0, 10, 1, 2))
    (tmp_path / "old.json").write_text(json.dumps({"b: up to 4 seeds": [asdict(made)]}))
    assert read_figures([tmp_path / "old.json"]) == {arm_named("seeds_4"): [made]}


def test_arms_are_named_by_id_by_short_name_and_by_letters():
    assert arms_named("watch_repair") == arms_named("f") == [arm_named("watch_repair")]
    assert [arm.id for arm in arms_named("b4")] == ["seeds_4"]
    assert [arm.id for arm in arms_named("abd")] == ["first_seed", "seeds_2", "seeds_3", "seeds_4", "asdff"]
    for names in ({arm.id for arm in ARMS}, {arm.short for arm in ARMS}):
        assert len(names) == len(ARMS)


@pytest.mark.parametrize("name", ["z", "", "watch-repair"])
def test_an_unknown_arm_is_refused_with_the_known_ones(name: str):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no arm; allowed are .*watch_repair \(f\)"):
        arms_named(name)


def test_every_arm_is_made_in_one_way():
    made = Arms(*[None] * 4).all()  # type: ignore[arg-type]
    assert [arm.id for arm in ARMS if arm not in SEEDS_ARMS] == list(made)


def test_arms_are_compared_with_the_one_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cost = Cost(1.0, 10, 1, 2)
    clean = {"first_seed": [False, False], "seeds_4": [True, False], "repair": [True, True]}
    figures = {arm_named(name): [Made("hand", one, cost) for one in all_of] for name, all_of in clean.items()}
    report(figures, tmp_path, against=arm_named("b4"))
    printed = capsys.readouterr().out
    assert "against b4, paired" in printed
    assert "+1 −0" in next(line for line in printed.splitlines() if "e: repair" in line)
    report(figures, tmp_path)
    assert "against a, paired" in capsys.readouterr().out
