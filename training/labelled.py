"""Parts of generated pictures as an eye called them, and the detector's score for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from detectors.body_parts import is_malformed, part_of
from detectors.detections import Detections, Image
from detectors.fusion import Fusion
from detectors.protocols import Critic, Detector
from training.textures import read_picture

LABELS_FILE = "labels.jsonl"
SAME_IOU = 0.5
FUSION_LEAST_CONF = 0.01
WANTED = {"hand": "hand", "horse": "limb", "person": "limb", "rider": "limb"}
"""Which parts of a kind of picture are labelled."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One part of a picture and what the eye said of it."""

    image: Image
    part: str
    xyxy: Sequence[float]
    malformed: bool


def read_labelled(folder: Path) -> list[Seen]:
    """All labelled hands and limbs in a folder that ``training.bank export`` wrote."""
    found = []
    for line in map(json.loads, (folder / LABELS_FILE).read_text("utf-8").splitlines()):
        image = read_picture(folder / line["file"])
        for part in line["parts"]:
            name = part_of(part["class_name"])
            if name in ("hand", "limb"):
                found.append(Seen(image, name, part["xyxy"], is_malformed(part["class_name"])))
    return found


def by_detector(detector: Detector, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """The highest score at each part for malformed and for well-formed, (N, 2); 0 where there is none."""
    scores = np.zeros((len(seen), 2), np.float32)
    looks: dict[int, Detections] = {}
    for row, one in enumerate(seen):
        if id(one.image) not in looks:  # a picture has several parts
            looks[id(one.image)] = detector.detect([one.image], FUSION_LEAST_CONF)[0]
        found = looks[id(one.image)]
        near = boxes.iou(found.xyxy, one.xyxy)[:, 0] >= SAME_IOU
        for column, name in enumerate((f"malformed_{one.part}", one.part)):
            same = [detector.class_names[i] == name for i in found.class_id]
            scores[row, column] = found.conf[np.array(same, bool) & near].max(initial=0.0)
    return scores


def by_critic(critic: Critic, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """The critic's probability of malformed of each part, (N,)."""
    crops = []
    for one in seen:
        x1, y1, x2, y2 = (round(v) for v in one.xyxy)
        crops.append(critic.crop(one.image, (x1, y1, x2, y2)))
    return np.array(critic.malformed(crops, [one.part for one in seen]), np.float32)


def by_both(
    fusion: Fusion, seen: Sequence[Seen], detected: NDArray[np.float32], asked: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The score of each part, (N,), from what ``by_detector`` and ``by_critic`` say of it."""
    scores = [
        fusion.score(one.part, float(malformed), float(well_formed), float(critic))
        for one, (malformed, well_formed), critic in zip(seen, detected, asked, strict=True)
    ]
    return np.array(scores, np.float32)
