from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detectors.body_parts import CLASS_NAMES
from training.anatomy.hand_warps import CONTROLS, DEFECTS, warp
from training.anatomy.photo_masks import FINGERS, palm_size
from training.anatomy.world import write_shard
from training.real_crops import PX, of_warps, pulled, wide_crop
from training.real_detector import PartlyLabelled, counting, real_crops, to_batch
from training.real_pictures import (
    HAND,
    MALFORMED_HAND,
    PERSON,
    Crop,
    Labelled,
    read_generated,
    read_photos,
    renders,
)


def open_hand() -> np.ndarray:
    """An open hand's 21 points in a picture of 300 px."""
    points = np.zeros((21, 2), np.float32)
    points[0] = (150, 250)
    for finger, chain in enumerate(FINGERS):
        angle = np.radians(-150 + 30 * finger)
        along = np.array([np.cos(angle), np.sin(angle)])
        for joint, index in enumerate(chain):
            points[index] = points[0] + along * (70 + 30 * joint)
    return points


def picture(size: int = 300) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)


@pytest.mark.parametrize("edits", [DEFECTS, CONTROLS])
def test_every_warp_moves_the_fingers_and_leaves_the_rim(edits):
    points, image = open_hand(), cv2.GaussianBlur(picture(), (0, 0), 3)
    for name, edit in edits.items():
        moved = edit(points, np.random.default_rng(1))
        assert moved is not None, name
        made = warp(image, points, moved)
        assert made.shape == image.shape
        assert (made != image).any(), name
        assert np.abs(made[2:-2, [2, -3]].astype(int) - image[2:-2, [2, -3]]).mean() < 6, name


def test_a_warp_takes_what_is_at_a_point_to_its_new_place():
    points, image = open_hand(), np.zeros((300, 300, 3), np.uint8)
    tip = FINGERS[2][3]
    cv2.circle(image, tuple(int(v) for v in points[tip]), 4, (255, 255, 255), -1)
    moved = points.copy()
    moved[tip] += (0, 25)
    made = warp(image, points, moved)
    seen = np.argwhere(made[..., 0] > 120).mean(0)[::-1]
    assert np.linalg.norm(seen - moved[tip]) < 6


def test_pulling_nothing_changes_nothing():
    points, image = open_hand(), cv2.GaussianBlur(picture(), (0, 0), 2)
    assert np.abs(warp(image, points, points).astype(int) - image).max() <= 4


def test_defects_pull_farther_than_controls():
    points = open_hand()

    def farthest(defect: bool) -> np.ndarray:
        made = [pulled(points, defect, np.random.default_rng(seed)) for seed in range(40)]
        kept = [one for one in made if one is not None and one[0] not in ("merged", "tilted")]
        return np.array(
            [np.linalg.norm(moved - points, axis=1).max() / palm_size(points) for _, moved in kept]
        )

    assert np.median(farthest(True)) > 1.5 * np.median(farthest(False))


def test_warps_come_with_as_many_controls(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    line = {"image": str(tmp_path / "a.png"), "box": [40, 60, 260, 260], "points": open_hand().tolist()}
    (tmp_path / "points.jsonl").write_text(
        json.dumps(line) + "\n" + json.dumps(line | {"points": None}) + "\n"
    )
    made = list(of_warps(tmp_path / "points.jsonl", 3, np.random.default_rng(0)))
    assert [one.malformed for one in made] == [True, False] * 3
    assert {one.crop.shape for one in made} == {(PX, PX, 3)}


def test_points_keep_their_place_in_the_wide_crop():
    image = np.zeros((300, 300, 3), np.uint8)
    image[100:104, 200:204] = 255
    wide, points = wide_crop(image, (150, 80, 250, 160), np.array([[202, 102]], np.float32))
    seen = np.argwhere(wide[..., 0] > 120).mean(0)[::-1]
    assert np.abs(seen - points[0]).max() < 2


def generated(folder: Path) -> Path:
    (folder / "pictures").mkdir(parents=True)
    cv2.imwrite(str(folder / "pictures" / "a.png"), picture(200))
    cv2.imwrite(str(folder / "pictures" / "b.png"), picture(200))
    (folder / "pictures.csv").write_text("picture,split\na.png,train\nb.png,test\n")
    rows = [
        ("well_formed", [10, 10, 60, 60], "W"), ("malformed", [100, 100, 160, 160], "MM"),
        ("malformed", [10, 100, 60, 160], "MWM"), ("unclear", [100, 10, 150, 60], "U"),
        ("off_centre", [70, 70, 90, 90], "O"), ("no_hand", [0, 180, 20, 200], "N"),
    ]  # fmt: skip
    lines = [
        {"picture": "a.png", "label": label, "xyxy": xyxy, "votes": votes} for label, xyxy, votes in rows
    ]
    (folder / "hands.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_what_a_picture_tells_and_what_it_does_not(tmp_path):
    folder = generated(tmp_path)
    (only,) = read_generated(folder, "train", None)
    assert only.classes.tolist() == [HAND, MALFORMED_HAND, HAND, HAND]
    assert only.doubtful.tolist() == [[70, 70, 90, 90]]
    assert np.flatnonzero(only.known).tolist() == [HAND, MALFORMED_HAND]
    extra = tmp_path / "extra.json"
    more = {"people": [[0, 0, 200, 200]], "wrists": [[20, 20, 50, 50], [170, 0, 200, 30]]}
    extra.write_text(json.dumps({"a.png": more}))
    (only,) = read_generated(folder, "train", extra)
    assert only.classes.tolist()[-1] == PERSON
    assert only.known[PERSON]
    assert only.doubtful.tolist() == [[70, 70, 90, 90], [170, 0, 200, 30]], (
        "a labelled hand's wrist is no doubt"
    )


def test_crops_hold_their_hands(tmp_path):
    (one,) = read_generated(generated(tmp_path), "train", None)
    rng = np.random.default_rng(0)
    for _ in range(20):
        crop = one.crop(96, rng)
        assert crop.image.shape == (96, 96, 3)
        assert len(crop.xyxy) == len(crop.classes) >= 1
        assert (crop.xyxy >= 0).all() and (crop.xyxy <= 96).all()


def test_a_hand_is_where_its_box_is(tmp_path):
    image = np.zeros((120, 160, 3), np.uint8)
    image[30:60, 80:120, 1] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    box, nothing = np.array([[80.0, 30, 120, 60]]), np.zeros((0, 4))
    one = Labelled(tmp_path / "a.png", box, np.array([HAND]), np.ones(6, bool), nothing)
    for seed in range(12):
        crop = one.crop(128, np.random.default_rng(seed))
        y, x = np.nonzero(crop.image[..., 1] > 128)
        seen = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert np.abs(crop.xyxy[0] - seen).max() <= 3, seed


def crop_of(known: tuple[int, ...], doubtful: list[list[float]]) -> Crop:
    flags = np.isin(np.arange(len(CLASS_NAMES)), known)
    nothing = np.zeros((0, 4))
    doubts = np.array(doubtful, np.float64).reshape(-1, 4)
    return Crop(np.zeros((64, 64, 3), np.uint8), nothing, np.zeros(0, np.int64), flags, doubts)


def test_the_loss_counts_what_is_labelled_and_not_doubtful():
    counts = counting([crop_of((HAND, MALFORMED_HAND), [[0, 0, 32, 64]]), crop_of((HAND, PERSON), [])])
    assert counts.shape == (2, 64 + 16 + 4, len(CLASS_NAMES))
    assert counts[1].sum(0).tolist() == [
        84.0 if i in (HAND, PERSON) else 0.0 for i in range(len(CLASS_NAMES))
    ]
    assert counts[0, :, HAND].sum() == 42, "the left half says nothing of hands"
    bce = PartlyLabelled()
    logits, wanted = torch.zeros(2, 84, len(CLASS_NAMES)), torch.zeros(2, 84, len(CLASS_NAMES))
    wanted[0, 0, HAND] = 1.0
    bce.counts = counts
    loss = bce(logits, wanted)
    assert loss[0, 0, HAND] > 0, "what is assigned counts even in a doubtful place"
    assert loss[0, 0, PERSON] == 0
    assert loss[1, 0, PERSON] > 0


def test_batches_are_as_the_library_takes_them(tmp_path):
    (one,) = read_generated(generated(tmp_path), "train", None)
    rng = np.random.default_rng(0)
    stream = real_crops([one], [], 96, rng)
    batch = to_batch([next(stream) for _ in range(3)], rng)
    assert batch["img"].shape == (3, 3, 96, 96)
    assert float(batch["img"].min()) >= 0 and float(batch["img"].max()) <= 1
    assert len(batch["cls"]) == len(batch["bboxes"]) == len(batch["batch_idx"])
    assert ((batch["bboxes"] >= 0) & (batch["bboxes"] <= 1)).all()


def test_photographs_tell_hands_alone_and_renders_everything(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), picture(100))
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    (photo,) = read_photos(tmp_path)
    assert photo.xyxy.tolist() == [[40, 30, 60, 70]]
    assert not photo.known[PERSON]
    (tmp_path / "world").mkdir()
    parts = [{"class_name": "malformed_limb", "xyxy": [10, 10, 30, 50]}]
    write_shard(tmp_path / "world" / "hand-0000.npz", picture(64)[None], [{"parts": parts}])
    stream = renders(tmp_path / "world", np.random.default_rng(0))
    boxes = {tuple(next(stream).xyxy[0]) for _ in range(12)}
    assert boxes == {(10, 10, 30, 50), (34, 10, 54, 50)}, "mirrored half of the time"
    assert next(stream).known.all()
