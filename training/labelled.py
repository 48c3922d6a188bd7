"""Parts of generated pictures as an eye called them, and the detector's score for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors import boxes
from detectors.detections import Image
from detectors.protocols import is_malformed, part_of
from detectors.yolo import YoloDetector
from training.textures import read_picture

LABELS_FILE = "labels.jsonl"
SAME_IOU = 0.5
LOOK_CONF = 0.01


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


def by_detector(detector: YoloDetector, seen: Sequence[Seen]) -> list[float]:
    """The highest score for malformed at each part; 0 where there is none."""
    scores = []
    for one in seen:
        found = detector.detect([one.image], LOOK_CONF)[0]
        same = [detector.class_names[i] == f"malformed_{one.part}" for i in found.class_id]
        here = np.array(same, bool) & (boxes.iou(found.xyxy, one.xyxy)[:, 0] >= SAME_IOU)
        scores.append(float(found.conf[here].max(initial=0.0)))
    return scores
