"""Real pictures, photographs and renders as training crops, each saying which classes it is labelled for.

A picture of ``hands.jsonl`` tells hands (and people, where another detector has looked for them), a
photograph hands alone, a render all classes. What a picture does not tell must not be learnt from it as
"there is none": hence ``known`` by class, and ``doubtful`` boxes, in which nothing is said of hands.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from detectors.body_parts import CLASS_NAMES
from detectors.detections import Image
from training.anatomy.world import read_shard, shards
from training.textures import read_picture, spoil

HAND, MALFORMED_HAND, PERSON = (CLASS_NAMES.index(name) for name in ("hand", "malformed_hand", "person"))
LABELS = {"well_formed": HAND, "unclear": HAND, "malformed": MALFORMED_HAND}
SURE = "MM"
"""Votes from which a hand is malformed for the detector, which sees it small; other ones are hands."""
LEAST_SEEN = 0.5
"""A box of which the crop holds less is left out."""
LEAST_PX = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One training example.

    Attributes:
        image: uint8 RGB (H, W, 3).
        xyxy: float64 (N, 4), in its pixels.
        classes: int64 (N,).
        known: bool (len(CLASS_NAMES),): the classes that are labelled throughout.
        doubtful: float64 (M, 4): where nothing is said of hands.
    """

    image: Image
    xyxy: NDArray[np.float64]
    classes: NDArray[np.int64]
    known: NDArray[np.bool_]
    doubtful: NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """A picture file and what is known of it; see ``Crop``."""

    path: Path
    xyxy: NDArray[np.float64]
    classes: NDArray[np.int64]
    known: NDArray[np.bool_]
    doubtful: NDArray[np.float64]

    @cached_property
    def is_bare(self) -> bool:
        """No hand is labelled."""
        return not np.isin(self.classes, (HAND, MALFORMED_HAND)).any()

    def crop(self, px: int, rng: np.random.Generator) -> Crop:
        """A random square of it at a random scale, ``px`` wide, mirrored half of the time."""
        image = read_picture(self.path)
        height, width = image.shape[:2]
        side = max(height, width) if rng.random() < 0.35 else rng.uniform(0.35, 1.0) * max(height, width)
        scale = px / side * rng.uniform(0.8, 1.0)
        if len(self.xyxy):  # a hand of 16 to 0.6 px
            main = self.xyxy[rng.integers(len(self.xyxy))]
            longer = float(max(main[2] - main[0], main[3] - main[1], 1.0))
            scale = float(np.clip(scale, 16 / longer, min(3.0, max(0.6 * px, 16) / longer)))
            centre = (main[:2] + main[2:]) / 2 + rng.uniform(-0.35, 0.35, 2) * px / scale
        else:
            centre = rng.uniform(0.25, 0.75, 2) * [width, height]
        view = px / scale
        low = [
            (size - view) / 2 if size <= view else float(np.clip(at - view / 2, 0, size - view))
            for at, size in zip(centre, (width, height), strict=True)
        ]
        return _cut(self, image, np.array(low), scale, px, bool(rng.random() < 0.5), rng)


def _cut(
    labelled: Labelled, image: Image, low: NDArray[np.float64], scale: float, px: int, mirrored: bool,
    rng: np.random.Generator,
) -> Crop:  # fmt: skip
    matrix = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale]])
    if scale < 0.7:  # area averaging first, as the detector itself reduces
        size_wh = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        ratio = np.array([size_wh[0] / image.shape[1], size_wh[1] / image.shape[0]])
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        matrix[:, :2] = np.diag(scale / ratio)
    warped = cv2.warpAffine(image, matrix, (px, px), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
    spoilt = spoil(np.asarray(warped, np.uint8), rng) if rng.random() < 0.5 else np.asarray(warped, np.uint8)
    moved, doubtful = ((xyxy - np.tile(low, 2)) * scale for xyxy in (labelled.xyxy, labelled.doubtful))
    held = boxes.clip(moved, (px, px))
    seen = boxes.area(held) / np.maximum(boxes.area(moved), 1e-6)
    large = (held[:, 2:] - held[:, :2]).max(axis=1, initial=0.0) >= LEAST_PX
    keep = (seen >= LEAST_SEEN) & large
    cut_off = held[(seen > 0) & ~keep]
    doubtful = np.concatenate([boxes.clip(doubtful, (px, px)), cut_off])
    if mirrored:
        spoilt = np.ascontiguousarray(spoilt[:, ::-1])
        held, doubtful = (
            np.column_stack([px - b[:, 2], b[:, 1], px - b[:, 0], b[:, 3]]) for b in (held, doubtful)
        )
    return Crop(spoilt, held[keep], labelled.classes[keep], labelled.known, doubtful)


def _known(*names: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(len(CLASS_NAMES)), names)


def read_generated(folder: Path, split: str, extra: Path | None) -> list[Labelled]:
    """The pictures of one split of ``hands.jsonl``.

    Args:
        folder: with ``hands.jsonl``, ``pictures.csv`` and ``pictures``.
        split: ``train``.
        extra: JSON by picture, ``people`` and ``wrists`` as lists of xyxy; none if None.
    """
    with (folder / "pictures.csv").open(encoding="utf-8", newline="") as file:
        names = [row["picture"] for row in csv.DictReader(file) if row["split"] == split]
    more = json.loads(extra.read_text("utf-8")) if extra is not None else {}
    hands: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for line in map(json.loads, (folder / "hands.jsonl").read_text("utf-8").splitlines()):
        if line["picture"] in hands:
            hands[line["picture"]].append(line)
    return [_of_votes(folder / "pictures" / name, hands[name], more.get(name, {})) for name in names]


def _of_votes(path: Path, lines: Sequence[dict[str, object]], more: dict[str, list[list[float]]]) -> Labelled:
    xyxy, classes, doubtful = [], [], []
    for line in lines:
        label = str(line["label"])
        if label == "off_centre":
            doubtful.append(line["xyxy"])
        elif label in LABELS:
            sure = label != "malformed" or str(line["votes"])[:2] == SURE
            xyxy.append(line["xyxy"])
            classes.append(LABELS[label] if sure else HAND)
    rows = boxes.as_boxes(np.array(xyxy, np.float64))
    for wrist in more.get("wrists", []):
        if not len(rows) or not boxes.contains_centre(rows, wrist).any():
            doubtful.append(wrist)
    people = boxes.as_boxes(np.array(more.get("people", []), np.float64))
    known = _known(HAND, MALFORMED_HAND, PERSON) if more else _known(HAND, MALFORMED_HAND)
    return Labelled(
        path, np.concatenate([rows, people]), np.array([*classes, *[PERSON] * len(people)], np.int64), known,
        boxes.as_boxes(np.array(doubtful, np.float64)),
    )  # fmt: skip


def read_photos(folder: Path) -> list[Labelled]:
    """Photographs of well-formed hands (``images``, ``labels``)."""
    found = []
    for path in sorted((folder / "images").iterdir()):
        height, width = read_picture(path).shape[:2]
        lines = (folder / "labels" / f"{path.stem}.txt").read_text().splitlines()
        rows = np.array([[float(v) for v in line.split()[1:5]] for line in lines if line.strip()]).reshape(
            -1, 4
        )
        size = np.array([width, height])
        xyxy = np.column_stack(
            [(rows[:, :2] - rows[:, 2:] / 2) * size, (rows[:, :2] + rows[:, 2:] / 2) * size]
        )
        hands = np.full(len(xyxy), HAND, np.int64)
        found.append(Labelled(path, xyxy, hands, _known(HAND, MALFORMED_HAND), np.zeros((0, 4))))
    return found


def renders(folder: Path, rng: np.random.Generator) -> Iterator[Crop]:
    """Renders without end, shard by shard, spoilt and mirrored anew each time."""
    everything = np.ones(len(CLASS_NAMES), bool)
    while True:
        paths = list(shards(folder))
        for index in rng.permutation(len(paths)):
            pictures, lines = read_shard(paths[index])
            for row in rng.permutation(len(lines)):
                image, parts = spoil(pictures[row], rng), lines[row]["parts"]
                xyxy = boxes.as_boxes(np.array([part["xyxy"] for part in parts], np.float64))
                classes = np.array([CLASS_NAMES.index(part["class_name"]) for part in parts], np.int64)
                if rng.random() < 0.5:
                    image, width = np.ascontiguousarray(image[:, ::-1]), image.shape[1]
                    xyxy = np.column_stack([width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]])
                yield Crop(image, xyxy, classes, everything, np.zeros((0, 4)))
