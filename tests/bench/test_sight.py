from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.sight import (
    asked,
    auroc,
    calibration_error,
    detected,
    draw_sheets,
    found_rows,
    over_pictures,
    recall_at,
    told_apart,
)
from bench.sight_data import Judged, read, read_sound
from detectors.detections import Detections


def write_picture(path: Path, width: int = 100, height: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def judged_folder(folder: Path) -> Path:
    """Two pictures of two splits, judged by votes."""
    for name in ("a.png", "b.png"):
        write_picture(folder / "pictures" / name)
    (folder / "pictures.csv").write_text(
        "picture,split,source,group,width,height\na.png,test,one,g,100,80\nb.png,train,two,h,100,80\n"
    )
    line = {"kind": "", "box_from": "pose"}
    rows = [
        {"picture": "a.png", "xyxy": [0, 0, 50, 60], "label": "malformed", "severity": 2, "votes": "MM"},
        {"picture": "a.png", "xyxy": [50, 0, 99, 60], "label": "well_formed", "severity": 0, "votes": "MWW"},
        {"picture": "a.png", "xyxy": [50, 0, 99, 60], "label": "unclear", "severity": 0, "votes": "U"},
        {"picture": "b.png", "xyxy": [0, 0, 50, 60], "label": "well_formed", "severity": 0, "votes": "W"},
    ]
    (folder / "hands.jsonl").write_text("".join(json.dumps(line | row) + "\n" for row in rows))
    return folder


def test_hands_with_votes_are_read_by_split(tmp_path):
    bad, good = read(judged_folder(tmp_path), "test")
    assert (bad.malformed, bad.agreed, bad.severity, bad.source) == (True, True, 2, "one")
    assert (good.malformed, good.agreed) == (False, False)
    assert bad.size_px == 60
    assert len(read(tmp_path)) == 3


def test_a_coco_set_is_read(tmp_path):
    write_picture(tmp_path / "images" / "a.png")
    kept = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "malformed_hand"}, {"id": 2, "name": "limb"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40]},
            {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5]},
        ],
    }
    (tmp_path / "set.json").write_text(json.dumps(kept))
    hand, limb = read(tmp_path)
    assert (hand.part, hand.malformed, hand.xyxy) == ("hand", True, (10, 20, 40, 60))
    assert (limb.part, limb.malformed) == ("limb", False)
    assert hand.picture == tmp_path / "images" / "a.png"


def test_a_yolo_set_is_read_by_the_names_in_its_yaml(tmp_path):
    write_picture(tmp_path / "images" / "test" / "a.png")
    write_picture(tmp_path / "images" / "train" / "b.png")
    for split, name in (("test", "a"), ("train", "b")):
        path = tmp_path / "labels" / split / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text("1 0.5 0.5 0.2 0.5\n")
    (tmp_path / "set.yaml").write_text("names:\n  0: hand\n  1: malformed_limb\n")
    (only,) = read(tmp_path, "test")
    assert (only.part, only.malformed) == ("limb", True)
    assert only.xyxy == pytest.approx((40, 20, 60, 60))
    assert not any(one.malformed for one in read_sound(tmp_path))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"hands\.jsonl"):
        read(tmp_path)
    with pytest.raises(ValueError, match="'nowhere'"):
        read(judged_folder(tmp_path), "nowhere")


TRUTH = np.array([True, True, False, False, False, False])


def test_figures_of_scores_that_are_known():
    scores = np.array([0.9, 0.3, 0.8, 0.2, 0.2, 0.1])
    assert auroc(TRUTH, scores) == pytest.approx(7 / 8)
    assert recall_at(TRUTH, scores, 0.25) == 0.5, "at the score of the third of four, one of two is above"
    assert np.isnan(auroc(TRUTH[:2], scores[:2]))
    assert calibration_error(TRUTH, TRUTH.astype(float)) == 0.0
    assert calibration_error(TRUTH, np.full(6, 0.5)) == pytest.approx(0.5)


def test_pictures_are_drawn_whole():
    same = over_pictures(["a"] * 6, auroc, TRUTH, np.arange(6.0)[::-1])
    assert same == "1.000 [1.000, 1.000]", "one picture has nothing to be drawn anew"
    several = over_pictures(range(6), np.mean, TRUTH)
    low, high = several.split("[")[1].rstrip("]").split(", ")
    assert several.startswith("0.333") and float(low) < 0.333 < float(high)


class _Detector:
    class_names = ("hand", "malformed_hand")

    def detect(self, images, conf):
        return [Detections.of([[0, 0, 50, 60], [48, 0, 99, 60]], [0.6, 0.2], [1, 0])] * len(images)


class _Critic:
    def crop(self, image, xyxy):
        return image[:4, :4]

    def malformed(self, crops, parts):
        return [0.7] * len(crops)


def test_found_and_told_apart(tmp_path):
    parts = read(judged_folder(tmp_path), "test")
    found, scores = detected(_Detector(), parts)
    assert found.tolist() == [True, False], "the second hand's score is too low to count as found"
    assert scores.tolist() == pytest.approx([0.6, 0.0])
    assert asked(_Critic(), parts).tolist() == [0.7, 0.7]
    rows = {row[1]: row for row in found_rows("mine", parts, found)}
    assert rows["all"][2] == "2" and rows["all"][3].startswith("0.500")
    assert rows["malformed"][3].startswith("1.000")
    assert rows["44 to 64 px"][2] == "2"
    told = told_apart("mine", parts, scores)
    assert [row[2] for row in told] == ["1 of 1", "1 of 1", "1 of 2"]
    draw_sheets(tmp_path / "sheets", "mine", parts, scores)
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["mine-alarms.png", "mine-misses.png"]


def test_a_part_of_another_kind_is_not_this_one(tmp_path):
    (tmp_path / "images").mkdir()
    write_picture(tmp_path / "a.png")
    limb = Judged(tmp_path / "a.png", "limb", (0, 0, 50, 60), True)
    assert not detected(_Detector(), [limb])[0].any()
