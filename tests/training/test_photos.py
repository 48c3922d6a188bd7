from __future__ import annotations

import json
from collections import Counter

import cv2
import numpy as np
import pytest

from training.anatomy import landmarks, photo_crops, photo_edits, photos
from training.anatomy.photo_layers import fill_background, turn
from training.anatomy.photo_masks import FINGERS, dilate, find_hand, is_extended

ROOTS = ((182, 268), (196, 186), (224, 178), (252, 182), (278, 196))
TIPS = ((104, 212), (166, 72), (220, 54), (276, 68), (334, 106))
DEFECTS, CONTROLS = sorted(photo_edits.DEFECTS), sorted(photo_edits.CONTROLS)


def drawn_hand():
    """An open hand before a grey wall: image, points and box."""
    noise = np.random.default_rng(7)
    image = np.clip(noise.normal((70, 90, 110), 4, (440, 440, 3)), 0, 255).astype(np.uint8)
    points = np.zeros((21, 2), np.float32)
    points[0] = (238, 340)
    for chain, root, tip in zip(FINGERS, ROOTS, TIPS, strict=True):
        for joint, share in zip(chain, (0, 0.45, 0.75, 1), strict=True):
            points[joint] = np.array(root) * (1 - share) + np.array(tip) * share
    skin = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(skin, [np.array([(178, 270), (190, 182), (280, 190), (288, 350), (200, 350)], np.int32)], 1)
    for chain in FINGERS:
        ends = [tuple(round(float(v)) for v in points[i]) for i in (chain[0], chain[3])]
        cv2.line(skin, ends[0], ends[1], 1, 26)
    image[skin > 0] = np.clip(noise.normal((214, 160, 132), 4, (int(skin.sum()), 3)), 0, 255)
    return image, points, np.array([92, 42, 346, 352], np.float32)


@pytest.fixture(scope="module")
def scene():
    image, points, box = drawn_hand()
    cv2.setRNGSeed(0)
    located = photos.locate(image, photos.Labelled(box, points))
    assert located is not None
    return image, box, located


def edit(scene, name, tries=12):
    image, box, located = scene
    for seed in range(tries):
        result = photos.edit_hand(image, box, located, name, np.random.default_rng(seed))
        if result is not None:
            return result
    raise AssertionError(f"{name} never worked")


def write_dataset(folder, points):
    """One photograph in each split, and the landmarks' file."""
    image, _, box = drawn_hand()
    lines = []
    for split in ("train", "select", "test"):
        (folder / split / "images").mkdir(parents=True)
        cv2.imwrite(str(folder / split / "images" / "one.png"), image[..., ::-1])
        record = {"image": f"{split}/images/one.png", "split": split, "box": box.tolist(), "points": points}
        lines.append(json.dumps({**record, "score": 1.0, "handedness": "Left"}))
    (folder / "landmarks.jsonl").write_text("\n".join(lines))
    return photos.read_landmarks(folder / "landmarks.jsonl")


def test_fingers_are_found_where_they_were_drawn(scene):
    hand = scene[2][0]
    assert photo_edits.extended(hand) == [1, 2, 3, 4]
    for finger in range(5):
        x, y = np.rint(hand.chain(finger)[2]).astype(int)
        assert hand.owner[y, x] == finger
        assert hand.half_width(finger) == pytest.approx(13, abs=3)
    assert hand.owner[5, 5] == -1


def test_folded_finger_is_not_extended():
    points = drawn_hand()[1]
    assert is_extended(points, 1)
    points[8] = points[5] + (2, -10)
    assert not is_extended(points, 1)


def test_hand_whose_points_lie_beside_it_is_refused():
    image, points, _ = drawn_hand()
    assert find_hand(image, points * np.float32([-1, 1]) + np.float32([476, 0])) is None
    assert find_hand(image, points * np.float32(0.1)) is None


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_shows_and_stays_near_the_hand(scene, name):
    image, box, _ = scene
    edited, moved = edit(scene, name)
    assert edited.shape == image.shape and edited.dtype == np.uint8
    changed = np.abs(edited.astype(int) - image).max(axis=-1) > photos.PLAIN_STEP
    area = float((box[2:] - box[:2]).prod())
    assert 0.02 * area < changed.sum() < 0.4 * area
    assert not changed[380:].any()
    assert (moved[2:] > moved[:2]).all() and moved.min() >= 0


@pytest.mark.parametrize("name", CONTROLS)
def test_control_keeps_the_hand_and_nearly_its_box(scene, name):
    image, box, _ = scene
    edited, moved = edit(scene, name)
    assert (edited != image).any()
    assert np.abs(moved - box).max() < 0.1 * (box[2:] - box[:2]).max()


def test_long_finger_grows_the_box_and_a_missing_one_never_does(scene):
    box = scene[1]
    longer = edit(scene, "long")[1]
    assert (longer[:2] < box[:2] - 5).any() or (longer[2:] > box[2:] + 5).any()
    moved = edit(scene, "missing")[1]
    assert (moved[:2] >= box[:2] - 1).all() and (moved[2:] <= box[2:] + 1).all()


def test_edits_repeat_with_the_same_generator(scene):
    first, second = edit(scene, "doubled"), edit(scene, "doubled")
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_hole_is_filled_with_background_only(scene):
    hand = scene[2][0]
    hole = hand.finger_mask(2, 0.5)
    filled = fill_background(hand.image, dilate(hole, 4), hand.skin, np.random.default_rng(0))
    assert filled is not None
    assert np.abs(filled[dilate(hole, -3)].mean(axis=0) - (70, 90, 110)).max() < 8


def test_turn_holds_its_pivot():
    matrix = turn(np.float32([30, 40]), 50.0)
    assert matrix @ (30, 40, 1) == pytest.approx((30, 40), abs=1e-3)


def test_crop_holds_the_hand_at_the_promised_size_and_cuts_no_other():
    rng = np.random.default_rng(0)
    boxes = np.array([[100, 100, 180, 220], [260, 100, 330, 200]], np.float32)
    for _ in range(50):
        crop = photo_crops.choose_crop(boxes, 0, (480, 640), rng)
        assert crop is not None
        seen = photo_crops.visible_share(boxes, crop)
        assert seen[0] > 0.97
        assert seen[1] <= 0.02 or seen[1] >= photo_crops.MIN_VISIBLE
        assert 0.34 <= 120 / crop[2] <= 0.96


def test_crop_of_a_hand_that_fills_a_narrow_picture_is_padded():
    image = np.zeros((100, 300, 3), np.uint8)
    boxes, classes = np.array([[10, 2, 280, 98]], np.float32), np.array([1])
    picture = photo_crops.take_crop(image, boxes, classes, 0, 64, np.random.default_rng(0))
    assert picture is not None and picture.image.shape == (64, 64, 3)
    assert picture.image[0].mean() == pytest.approx(114, abs=2)
    assert picture.boxes.shape == (1, 4) and picture.classes.tolist() == [1]


def test_data_set_is_complete_repeatable_and_resumed(tmp_path):
    points = drawn_hand()[1].tolist()
    hands = write_dataset(tmp_path / "in", points)
    runs = []
    for name in ("a", "b"):
        counts = photos.make_all(photos.Plan(tmp_path / "in", tmp_path / name, px=96), hands)["train"]
        files = sorted(p for p in (tmp_path / name).rglob("*.*") if p.is_file())
        runs.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in files})
    assert runs[0] == runs[1]
    kinds = Counter(kind.split("-")[0] for kind in counts.elements())
    assert kinds == {"original": 1, "malformed": 2, "control": 2}
    for label in (tmp_path / "a" / "train" / "labels").iterdir():
        rows = np.array([[float(v) for v in line.split()] for line in label.read_text().splitlines()])
        assert rows[:, 0].tolist() == [1.0 if "malformed" in label.stem else 0.0]
        assert rows[:, 1:].min() > 0 and rows[:, 1:].max() <= 1
    image = next((tmp_path / "a" / "train" / "images").iterdir())
    image.write_bytes(b"kept")
    again = photos.make_all(photos.Plan(tmp_path / "in", tmp_path / "a", px=96), hands)
    assert again["train"] == counts
    assert image.read_bytes() == b"kept"


def test_hand_without_points_gives_its_original_only(tmp_path):
    hands = write_dataset(tmp_path / "in", None)
    counts = photos.make_all(photos.Plan(tmp_path / "in", tmp_path / "out", px=96), hands)
    assert counts == {split: {"original": 1} for split in photos.SPLITS}


def test_landmark_boxes_and_crop(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n\n")
    assert landmarks.read_boxes(tmp_path / "a.txt", 100, 200)[0] == pytest.approx((40, 60, 60, 140))
    assert landmarks.iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    crop, corner, scale = landmarks.crop_around(np.zeros((200, 100, 3), np.uint8), (40, 60, 60, 140), 1.5)
    assert corner == (0, 40) and scale == pytest.approx(384 / 120)
    assert max(crop.shape[:2]) == 384
