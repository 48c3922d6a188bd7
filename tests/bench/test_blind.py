"""Blind labelling: every picture is drawn once, and its label is counted for the right arm."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench import blind
from bench.arms import arm_named

A, E = arm_named("first_seed"), arm_named("repair")
ARMS, PLACES = [A, E], [1, 2, 5]


def test_every_picture_is_drawn_once_in_an_order_that_can_be_drawn_again():
    order = blind.drawn(ARMS, PLACES, 3)
    everything = [(arm, place) for arm in ARMS for place in PLACES]
    assert sorted(order, key=everything.index) == everything
    assert order == blind.drawn(ARMS, PLACES, 3) != everything


def test_sheets_show_the_pictures_in_that_order(tmp_path: Path):
    for arm, grey in ((A, 0), (E, 200)):
        for place in PLACES:
            cv2.imwrite(
                str(tmp_path / f"{arm.id}-{place:03d}.png"), np.full((8, 8, 3), grey + place, np.uint8)
            )
    out = tmp_path / "sheets"
    wanted = argparse.Namespace(pictures=tmp_path, arms=ARMS, of=6, count=3, seed=1, out=out)
    blind.make_sheets(wanted)
    drawn = cv2.imread(str(out / "sheet-0000.png"))
    for number, (arm, place) in enumerate(json.loads((out / "key.json").read_text())):
        y, x = (number // blind.COLUMNS + 0.5) * blind.SIDE_PX, (number % blind.COLUMNS + 0.5) * blind.SIDE_PX
        assert drawn[int(y), int(x), 0] == {"first_seed": 0, "repair": 200}[arm] + place


def test_labels_are_counted_by_arm_and_kind():
    order = [(E, 1), (A, 1), (A, 2), (E, 2), (E, 5)]
    seen = blind.seen_of(order, {0: "g", 1: "b", 2: "b", 3: "g", 4: "x"})
    assert seen == {A: {1: "b", 2: "b"}, E: {1: "g", 2: "g"}}
    assert list(seen) == [A, E]
    first, second = blind.rows(seen)
    assert first[0] == "a" and first[4:] == ["+0 −0, p = 1.000", "–", "–"]
    assert second[0] == "e" and second[2:] == ["1 of 1", "1 of 1", "+2 −0, p = 0.500", "–", "–"]


def test_counted_limbs_are_compared_with_the_first_arm():
    seen = {A: {1: "2", 2: "0", 5: "4"}, E: {1: "1", 2: "0", 5: "4"}}
    first, second = blind.rows(seen)
    assert first[1].startswith("33.3%") and first[5].startswith("2.00")
    assert second[5].startswith("1.67") and second[6] == "+1 −0, p = 1.000"


def test_a_word_that_means_nothing_is_named(tmp_path: Path):
    (tmp_path / "labels_1.txt").write_text("0 g\n1 good\n")
    with pytest.raises(SystemExit, match="allowed are 0, 1, 2, 3, 4, g, b, x"):
        blind.words_of(tmp_path)


def test_arms_are_compared_with_the_one_that_is_named():
    seen = {A: {1: "2", 2: "0", 5: "4"}, E: {1: "1", 2: "0", 5: "4"}}
    first, second = blind.rows(seen, E)
    assert (first[0], first[6]) == ("a", "+0 −1, p = 1.000")
    assert (second[0], second[6]) == ("e", "+0 −0, p = 1.000")
