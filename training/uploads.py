"""Fits by which measure an upload's hands are judged: detector and critic together, on many makers' pictures.

    python -m training.uploads --generated DIR --photos DIR/select --renders DIR/select
        --detector models/detector --critic models/critic

Fitted on the selection splits of pictures labelled by eye (hands on which two agree) and of renders, both
weighing the same; the threshold is the least at which at most ``--alarms`` of the well-formed hands of
generated pictures and ``--photo-alarms`` of photographs' are called malformed. Written beside the detector,
as ``uploads.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.body_parts import is_malformed
from detectors.closer import CloserDetector
from detectors.critic import CropCritic
from detectors.fusion import Fusion, Weights, log_odds
from detectors.protocols import Detector
from detectors.yolo import YoloDetector
from service.repair.calibration import (
    ANY_PICTURE,
    UPLOAD_CALIBRATION_FILE,
    FusedCalibration,
    GeneratorCalibration,
)
from training.anatomy.world import read_shard, shards
from training.labelled import Seen, by_critic, by_detector
from training.real_critic import AGREED
from training.real_pictures import read_photos
from training.textures import read_picture

PART = "hand"


def of_eyes(folder: Path) -> list[Seen]:
    """The selection split's hands on which the first two pairs of eyes agree."""
    with (folder / "pictures.csv").open(encoding="utf-8", newline="") as file:
        chosen = {row["picture"] for row in csv.DictReader(file) if row["split"] == "select"}
    lines = [json.loads(line) for line in (folder / "hands.jsonl").read_text("utf-8").splitlines()]
    wanted = [line for line in lines if line["picture"] in chosen and line["votes"][:2] in AGREED]
    images = {name: read_picture(folder / "pictures" / name) for name in {line["picture"] for line in wanted}}
    return [
        Seen(images[line["picture"]], PART, line["xyxy"], line["label"] == "malformed") for line in wanted
    ]


def of_photos(folder: Path) -> list[Seen]:
    """Well-formed hands of photographs."""
    found = []
    for labelled in read_photos(folder):
        image = read_picture(labelled.path)
        found += [Seen(image, PART, [float(v) for v in xyxy], False) for xyxy in labelled.xyxy]
    return found


def of_renders(folder: Path) -> list[Seen]:
    """Hands of renders."""
    found = []
    for path in shards(folder):
        pictures, lines = read_shard(path)
        for image, line in zip(pictures, lines, strict=True):
            for part in line["parts"]:
                if part["class_name"].endswith(PART):
                    found.append(Seen(image, PART, part["xyxy"], is_malformed(part["class_name"])))
    return found


def looked_at(detector: Detector, critic: CropCritic, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """(N, 3): the detector's scores for malformed and for well-formed, and the critic's probability."""
    return np.column_stack([by_detector(detector, seen), by_critic(critic, seen)])


def fit(scores: Sequence[NDArray[np.float32]], truths: Sequence[NDArray[np.bool_]]) -> Weights:
    """Logistic regression on the log-odds; either kind of picture weighs as much, whatever there is of it."""
    from sklearn.linear_model import LogisticRegression

    rows = np.array([[log_odds(float(v)) for v in row] for kind in scores for row in kind])
    weight = (
        np.concatenate([np.full(len(kind), 1.0 / len(kind)) for kind in scores]) * len(rows) / len(scores)
    )
    fitted = LogisticRegression().fit(rows, np.concatenate(truths), sample_weight=weight)
    return Weights(*(round(float(v), 3) for v in (*fitted.coef_[0], fitted.intercept_[0])))


def fused(weights: Weights, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The score of both, (N,)."""
    fusion = Fusion({PART: weights})
    return np.array([fusion.score(PART, *(float(v) for v in row)) for row in scores], np.float32)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("generated", "photos", "renders", "detector", "critic"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--alarms", type=float, default=0.10)
    parser.add_argument("--photo-alarms", type=float, default=0.04)
    args = parser.parse_args()
    detector = CloserDetector(YoloDetector.load(args.detector / "detector.pt"))
    critic = CropCritic.load(args.critic)
    kinds = {
        "generated": of_eyes(args.generated),
        "photos": of_photos(args.photos),
        "renders": of_renders(args.renders),
    }
    scores = {name: looked_at(detector, critic, seen) for name, seen in kinds.items()}
    truths = {name: np.array([one.malformed for one in seen]) for name, seen in kinds.items()}
    weights = fit(*zip(*((scores[n], truths[n]) for n in ("generated", "renders")), strict=True))
    by = {name: fused(weights, rows) for name, rows in scores.items()}
    least = max(
        float(np.quantile(by[name][~truths[name]], 1 - alarms))
        for name, alarms in (("generated", args.alarms), ("photos", args.photo_alarms))
    )
    conf = {f"malformed_{PART}": round(least + 0.005, 2)}
    for name, word in by.items():
        called = word >= conf[f"malformed_{PART}"]
        shares = [f"{called[some].mean():.0%}" for some in (truths[name], ~truths[name]) if some.any()]
        print(f"{name}: malformed and well-formed ones called malformed: {', '.join(shares)}")
    made = FusedCalibration(conf=conf, fusion=Fusion({PART: weights}), critic=critic.model_id)
    GeneratorCalibration(conf={}, detector=detector.model_id, generator=ANY_PICTURE, fused=made).save(
        args.detector / UPLOAD_CALIBRATION_FILE
    )


if __name__ == "__main__":
    main()
