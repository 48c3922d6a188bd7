"""Finds MediaPipe's 21 hand points in photographs and writes one JSON line per labelled hand.

A script, run by the Python of a virtual environment of its own, because mediapipe 0.10.21 wants numpy < 2:

    python -m venv mp-venv && mp-venv/bin/pip install mediapipe==0.10.21 opencv-python-headless tqdm
    mp-venv/bin/python training/anatomy/landmarks.py --photos DIR --out landmarks.jsonl

DIR holds ``<split>/images`` and ``<split>/labels`` (YOLO). It imports nothing else of the project.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

SPLITS = ("train", "select", "test")
GROW = (1.6, 2.2, 1.25)
"""How much the hand's box is enlarged before the search: the next one where the one before found nothing."""
MIN_SIDE_PX = 384
MIN_IOU = 0.35

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]


def read_boxes(label: Path, width: int, height: int) -> list[Box]:
    """The boxes of one YOLO label file as xyxy in pixels."""
    boxes: list[Box] = []
    for line in label.read_text().splitlines():
        if line.strip():
            cx, cy, w, h = (float(v) for v in line.split()[1:5])
            x0, y0 = (cx - w / 2) * width, (cy - h / 2) * height
            boxes.append((x0, y0, x0 + w * width, y0 + h * height))
    return boxes


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two xyxy boxes."""
    inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / area if area > 0 else 0.0


def crop_around(image: Image, box: Box, grow: float) -> tuple[Image, tuple[int, int], float]:
    """The box's square surroundings, upscaled if small: (crop, its top left corner (x, y), its scale)."""
    height, width = image.shape[:2]
    half = max(box[2] - box[0], box[3] - box[1]) * grow / 2
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    x0, y0 = max(0, round(cx - half)), max(0, round(cy - half))
    x1, y1 = min(width, round(cx + half)), min(height, round(cy + half))
    crop = image[y0:y1, x0:x1]
    scale = max(1.0, MIN_SIDE_PX / max(crop.shape[:2]))
    if scale > 1.0:
        crop = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    return crop, (x0, y0), scale


def find_points(finder: Any, image: Image, box: Box) -> dict[str, Any]:
    """The 21 points (full-image pixels) of the hand that fits the box best; None if none does."""
    best: dict[str, Any] = {"points": None, "score": 0.0, "handedness": None}
    for grow in GROW:
        crop, (x0, y0), scale = crop_around(image, box, grow)
        result = finder.process(np.ascontiguousarray(crop))
        best_iou = MIN_IOU
        for hand, side in zip(result.multi_hand_landmarks or [], result.multi_handedness or [], strict=True):
            width, height = crop.shape[1] / scale, crop.shape[0] / scale
            points = [(p.x * width + x0, p.y * height + y0) for p in hand.landmark]
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            fit = iou(box, (min(xs), min(ys), max(xs), max(ys)))
            if fit > best_iou:
                best_iou = fit
                mark = side.classification[0]
                best = {
                    "points": [[round(x, 2), round(y, 2)] for x, y in points],
                    "score": round(float(mark.score), 4),
                    "handedness": str(mark.label),
                }
        if best["points"] is not None:
            break
    return best


def hands_of(photos: Path, split: str, finder: Any) -> Iterator[dict[str, Any]]:
    """One record for each labelled hand of a split, photographs in order of their names."""
    for path in tqdm(sorted((photos / split / "images").glob("*.jpg")), desc=split):
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise ValueError(f"cannot read {path}")
        image = np.asarray(bgr[..., ::-1], np.uint8)
        height, width = image.shape[:2]
        for box in read_boxes(photos / split / "labels" / f"{path.stem}.txt", width, height):
            found = find_points(finder, image, box)
            name, corners = f"{split}/images/{path.name}", [round(v, 2) for v in box]
            yield {"image": name, "split": split, "box": corners, **found}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    import mediapipe  # type: ignore[import-not-found]  # only in this script's own environment

    cv2.setNumThreads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with (
        mediapipe.solutions.hands.Hands(
            static_image_mode=True, max_num_hands=3, min_detection_confidence=0.4
        ) as finder,
        args.out.open("w") as out,
    ):
        for split in SPLITS:
            for record in hands_of(args.photos, split, finder):
                out.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
