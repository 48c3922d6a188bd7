"""The bank of generated pictures: labels given by eye become the truth of a shard."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from bench.eyes import area
from detectors.body_parts import CLASS_NAMES
from training import bank, remembered
from training.anatomy.world import read_shard
from training.labelled import read_labelled

LINE = {
    "seed": 7,
    "kind": "horse",
    "caption": "a horse",
    "words": {},
    "parts": [
        {"class_name": "horse", "xyxy": [0, 0, 60, 60], "defect": None},
        {"class_name": "limb", "xyxy": [5, 30, 15, 60], "defect": None},
        {"class_name": "limb", "xyxy": [40, 30, 50, 60], "defect": None},
    ],
}


def _names(line: dict) -> list[str]:
    return [part["class_name"] for part in line["parts"]]


def test_what_was_seen_by_eye_becomes_the_class():
    assert _names(bank.labelled(LINE, "g", [])) == ["horse", "limb", "limb"]
    assert _names(bank.labelled(LINE, "b", [])) == ["horse", "malformed_limb", "malformed_limb"]
    assert _names(bank.labelled(LINE, "b", [2])) == ["horse", "limb", "malformed_limb"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "raw.npz", pictures=rng.integers(0, 255, (3, 64, 64, 3), np.uint8))
    lines = [LINE | {"seed": seed} for seed in range(3)]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_what_cannot_be_told_is_left_out(made: Path):
    (made / "labels.txt").write_text("0 g\n1 x\n2 b 1\n")
    bank.apply(argparse.Namespace(data=made, out=made / "set", name="generated"))
    pictures, lines = read_shard(made / "set" / "generated-0000.npz")
    assert [line["seed"] for line in lines] == [0, 2] and len(pictures) == 2
    assert _names(lines[1]) == ["horse", "malformed_limb", "limb"]


def test_what_is_remembered_gives_the_truth_back():
    redrawn = {"places": [["malformed_limb", [5, 30, 15, 60]]], "strength": 0.4, "inpainter": "any@1"}
    truth = bank.labelled(LINE | {"redrawn": redrawn}, "b", [2])
    kept = remembered.remembered(truth, "train/horses")
    assert kept["set"] == "train/horses" and [len(part) for part in kept["parts"]] == [5, 6, 6]
    again = remembered.truth_of(json.loads(json.dumps(kept)))
    assert _names(again) == _names(truth) and again["redrawn"] == redrawn
    assert [part["xyxy"] for part in again["parts"]] == [part["xyxy"] for part in truth["parts"]]
    assert [bool(part["defect"]) for part in again["parts"]] == [False, False, True]


def test_the_labels_that_come_with_the_project_can_be_read():
    lines = [json.loads(line) for line in remembered.REMEMBERED.read_text().splitlines()]
    sets = {line["set"].split("/")[0] for line in lines}
    assert sets == {"train", "judge", "select", "test"} and len(lines) > 1000
    seeds = {name: {n["seed"] for n in lines if n["set"].startswith(name)} for name in sets}
    assert not any(seeds[a] & seeds[b] for a in sets for b in sets if a < b)
    assert {part["class_name"] for line in lines for part in remembered.truth_of(line)["parts"]} <= set(
        CLASS_NAMES
    )


def test_a_word_that_means_nothing_is_named(made: Path):
    (made / "labels.txt").write_text("0 good\n")
    with pytest.raises(SystemExit, match="allowed are g, b and x"):
        bank.apply(argparse.Namespace(data=made, out=made / "set", name="generated"))


def test_the_bench_reads_what_is_exported(made: Path):
    (made / "labels.txt").write_text("0 g\n2 b 1\n")
    bank.apply(argparse.Namespace(data=made, out=made / "set", name="generated"))
    bank.export(argparse.Namespace(data=made / "set", out=made / "eyes"))
    seen = read_labelled(made / "eyes")
    assert [one.malformed for one in seen] == [False, False, True, False]
    assert {one.part for one in seen} == {"limb"} and seen[0].image.shape == (64, 64, 3)


def test_sheets_show_every_picture(made: Path):
    bank.sheets(argparse.Namespace(data=made))
    assert [path.name for path in made.glob("sheet-*.png")] == ["sheet-0000.png"]


def test_the_area_under_the_curve_counts_pairs_in_the_right_order():
    truth = np.array([True, True, False, False])
    assert area(truth, np.array([0.9, 0.4, 0.5, 0.1])) == pytest.approx(0.75)
    assert area(truth, np.array([0.5, 0.5, 0.5, 0.5])) == pytest.approx(0.5)
