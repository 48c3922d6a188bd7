"""Chooses from which score a defect is called one, on the selection split, and stores it beside the detector.

``python -m training.thresholds --detector models/detector --data DIR/select --photos DIR/select``

For each malformed class the least threshold is taken at which at most a given share of the pictures that have
no defect have an alarm of that class. Renders and photographs are two populations, and the stricter of
their two thresholds counts; the test split is not used.

``python -m training.thresholds --detector models/detector --own DIR`` chooses those for the bundled
generator's own pictures, on labelled ones: at most a given share of their well-formed parts has an alarm.
With ``--critic DIR`` it also fits how the critic's word goes into the score.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detectors.body_parts import is_malformed, part_of
from detectors.critic import CropCritic
from detectors.detections import Image
from detectors.yolo import DEFAULTS_FILE, YoloDetector
from service.engine.loading import choose_device, load_generator
from service.repair.calibration import GENERATOR_CALIBRATION_FILE, GeneratorCalibration
from service.runtime.settings import read_settings
from training.anatomy.world import read_shard, shards
from training.detector import read_photographs
from training.labelled import Seen, by_detector, read_labelled

LEAST_CONF = 0.05
THRESHOLDS = tuple(percent / 100 for percent in range(25, 91))
OWN_THRESHOLDS = tuple(percent / 100 for percent in range(10, 91))
Labelled = tuple[Image, list[dict[str, Any]]]


def renders(folder: Path, limit: int) -> list[Labelled]:
    """At most so many renders of a split, evenly over its shards."""
    paths = list(shards(folder))
    each = -(-limit // len(paths))
    found: list[Labelled] = []
    for path in paths:
        pictures, lines = read_shard(path)
        found += [(p, line["parts"]) for p, line in zip(pictures[:each], lines[:each], strict=True)]
    return found[:limit]


def worst_scores(
    detector: YoloDetector, labelled: Sequence[Labelled]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Per picture and class (N, classes): the highest score, and whether the truth has a part of it."""
    names = detector.class_names
    scores = np.zeros((len(labelled), len(names)), np.float32)
    truth = np.zeros((len(labelled), len(names)), bool)
    for start in tqdm(range(0, len(labelled), 32), unit="batches"):
        batch = labelled[start : start + 32]
        seen = detector.detect([picture for picture, _ in batch], LEAST_CONF)
        for row, (found, (_, parts)) in enumerate(zip(seen, batch, strict=True), start):
            np.maximum.at(scores[row], found.class_id, found.conf)
            for part in parts:
                if part["class_name"] in names:
                    truth[row, names.index(part["class_name"])] = True
    return scores, truth


def least_threshold(
    clean: NDArray[np.float32], false_alarms: float, choices: Sequence[float] = THRESHOLDS
) -> float:
    """The least score, of the choices, that at most such a share of what is clean reaches."""
    return next((t for t in choices if (clean >= t).mean() <= false_alarms), choices[-1])


def summary(scores: NDArray[np.float32], truth: NDArray[np.bool_], thresholds: Sequence[float]) -> str:
    """False alarms and recall at thresholds; all (N, malformed classes)."""
    over, clean = scores >= np.array(thresholds, np.float32), ~truth.any(axis=1)
    alarmed, recalled = over[clean].any(axis=1).mean(), over[truth].mean()
    return f"{alarmed:.1%} of {clean.sum()} clean pictures alarmed, {recalled:.1%} of {truth.sum()} recalled"


def choose(detector: YoloDetector, args: argparse.Namespace) -> None:
    """Chooses the detector's own thresholds and stores them."""
    sets = {"renders": worst_scores(detector, renders(args.data, args.limit))}
    if args.photos is not None:
        sets["photographs"] = worst_scores(detector, read_photographs(args.photos))
    names = detector.class_names
    bad = [i for i, name in enumerate(names) if is_malformed(name)]
    stored = json.loads((args.detector / DEFAULTS_FILE).read_text("utf-8"))
    chosen = stored["conf"]
    for index in bad:
        thresholds = {}
        of_renders = args.limb_alarms if part_of(names[index]) == "limb" else args.false_alarms
        allowed = {"renders": of_renders, "photographs": args.photo_alarms}
        for name, (scores, truth) in sets.items():
            clean = ~truth[:, bad].any(axis=1)
            thresholds[name] = least_threshold(scores[clean, index], allowed[name])
        chosen[names[index]] = max(thresholds.values())
        print(names[index], thresholds, flush=True)
    for name, (scores, truth) in sets.items():
        print(
            f"{name}: {summary(scores[:, bad], truth[:, bad], [chosen[names[i]] for i in bad])}", flush=True
        )
    (args.detector / DEFAULTS_FILE).write_text(json.dumps(stored, indent=2) + "\n")


def choose_own(detector: YoloDetector, seen: Sequence[Seen], alarms: float) -> dict[str, float]:
    """By malformed class, the least score that at most such a share of the well-formed parts reaches.

    None is above the detector's own: in these pictures more is malformed than elsewhere, never less.
    """
    scores = by_detector(detector, seen)[:, 0]
    chosen = {}
    for part in sorted({one.part for one in seen}):
        good, bad = (
            scores[[one.part == part and one.malformed == malformed for one in seen]]
            for malformed in (False, True)
        )
        most = detector.default_conf[f"malformed_{part}"]
        least = chosen[f"malformed_{part}"] = min(most, least_threshold(good, alarms, OWN_THRESHOLDS))
        recalled, alarmed = (float((some >= least).mean()) for some in (bad, good))
        print(f"own {part}: {least}, {recalled:.0%} of {len(bad)}, alarms {alarmed:.0%} of {len(good)}")
    return chosen


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--own", type=Path, help="labelled pictures of the bundled generator")
    parser.add_argument("--critic", type=Path, help="folder of the one that finds with it in them")
    parser.add_argument("--own-alarms", type=float, default=0.2, help="share of their well-formed parts")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--limit", type=int, default=1000, help="renders at most")
    parser.add_argument("--false-alarms", type=float, default=0.015, help="share of renders, for each class")
    parser.add_argument("--limb-alarms", type=float, default=0.03, help="the same, for limbs: four a horse")
    parser.add_argument("--photo-alarms", type=float, default=0.045, help="the same, of photographs")
    args = parser.parse_args()
    detector = YoloDetector.load(args.detector / "detector.pt")
    if args.data is not None:
        choose(detector, args)
        detector = YoloDetector.load(args.detector / "detector.pt")
    if args.own is not None:
        settings = read_settings()
        generator = load_generator(settings, choose_device(settings.device))
        seen = read_labelled(args.own)
        conf, fused = choose_own(detector, seen, args.own_alarms), None
        if args.critic is not None:
            from training.fusing import choose_fused  # wants scikit-learn, which the rest does not

            fused = choose_fused(detector, CropCritic.load(args.critic), seen, args.own_alarms)
        own = GeneratorCalibration(
            conf=conf, detector=detector.model_id, generator=generator.model_id, fused=fused
        )
        own.save(args.detector / GENERATOR_CALIBRATION_FILE)


if __name__ == "__main__":
    main()
