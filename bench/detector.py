"""Accuracy of the bundled detector: ``python -m bench.detector --test DIR/test --photos DIR/test``.

Average precision at IoU 0.5 by ultralytics' own validator; recall and false alarms at the service's
thresholds by the service's own detector; on held-out renders as they are, through the autoencoder, after
JPEG 75, and on photographs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from diffusers import AutoencoderTiny
from tqdm import tqdm

from bench.intervals import machine, share, table
from detectors import boxes
from detectors.body_parts import CLASS_NAMES, is_malformed
from detectors.detections import Detections, Image
from detectors.yolo import YoloDetector
from detectors.yolo_library import import_yolo
from service.runtime.settings import MODELS_DIR
from training.anatomy.world import read_shard, shards
from training.detector import describe_set, label_line, read_photographs
from training.textures import jpeg, round_trip

JPEG_QUALITY = 75
SAME_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One picture and its truth: dicts with ``class_name``, ``xyxy`` and, for renders, ``defect``."""

    image: Image
    parts: Sequence[dict[str, Any]]


def renders(folder: Path) -> list[Labelled]:
    """All renders of a split."""
    found = []
    for path in shards(folder):
        pictures, lines = read_shard(path)
        found += [Labelled(p, line["parts"]) for p, line in zip(pictures, lines, strict=True)]
    return found


def photographs(folder: Path) -> list[Labelled]:
    """All photographs of a split, as ``training.anatomy.photos`` writes them."""
    return [Labelled(picture, parts) for picture, parts in read_photographs(folder)]


def through_autoencoder(labelled: Sequence[Labelled], autoencoder: AutoencoderTiny) -> list[Labelled]:
    """The same pictures after encoding and decoding."""
    made: list[Labelled] = []
    for start in tqdm(range(0, len(labelled), 16), desc="autoencoder"):
        batch = labelled[start : start + 16]
        pictures = round_trip(autoencoder, np.stack([item.image for item in batch]), "cpu")
        made += [Labelled(p, item.parts) for p, item in zip(pictures, batch, strict=True)]
    return made


def average_precision(
    weights: Path, labelled: Sequence[Labelled], imgsz: int, iou: float
) -> dict[str, float]:
    """AP at IoU 0.5 by class name, of the classes that occur."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("images", "labels"):
            (folder / kind).mkdir()
        for index, item in enumerate(labelled):
            cv2.imwrite(str(folder / "images" / f"{index:06d}.png"), item.image[..., ::-1])
            lines = "".join(label_line(part, item.image.shape[0]) for part in item.parts)
            (folder / "labels" / f"{index:06d}.txt").write_text(lines)
        found = import_yolo()(str(weights)).val(
            data=str(describe_set(folder, "images", "images")),
            imgsz=imgsz,
            iou=iou,
            batch=32,
            workers=0,
            plots=False,
            verbose=False,
            device="cpu",
            rect=False,
            project=str(folder),
            name="val",
        )
    return {CLASS_NAMES[int(c)]: float(found.box.ap50[i]) for i, c in enumerate(found.box.ap_class_index)}


@dataclass(slots=True)
class Counts:
    """Counts at the service's thresholds."""

    clean: int = 0
    clean_alarmed: int = 0
    defects: int = 0
    recalled: int = 0


def at_threshold(
    detector: YoloDetector, labelled: Sequence[Labelled]
) -> tuple[Counts, dict[str, list[bool]]]:
    """Alarms on pictures without a defect, recall of defects, and recall by defect name."""
    counts, by_defect = Counts(), dict[str, list[bool]]()
    least = np.array([detector.default_conf[name] for name in detector.class_names])
    bad = np.array([is_malformed(name) for name in detector.class_names])
    for start in range(0, len(labelled), 32):
        batch = labelled[start : start + 32]
        for item, seen in zip(
            batch, detector.detect([b.image for b in batch], float(least.min())), strict=True
        ):
            alarms = seen[(seen.conf >= least[seen.class_id]) & bad[seen.class_id]]
            defects = [part for part in item.parts if is_malformed(part["class_name"])]
            if not defects:
                counts.clean += 1
                counts.clean_alarmed += len(alarms) > 0
            for part in defects:
                hit = _hit(alarms, part, detector.class_names)
                counts.defects += 1
                counts.recalled += hit
                by_defect.setdefault(
                    f"{part.get('kind', 'hand')} {part.get('defect') or 'edited'}", []
                ).append(hit)
    return counts, by_defect


def _hit(alarms: Detections, part: dict[str, Any], names: Sequence[str]) -> bool:
    same = alarms[alarms.class_id == names.index(part["class_name"])]
    if len(same) == 0:
        return False
    return bool(boxes.iou(same.xyxy, np.array([part["xyxy"]], np.float32)).max() >= SAME_IOU)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=Path, required=True, help="held-out renders")
    parser.add_argument("--photos", type=Path, help="held-out photographs")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--limit", type=int, help="renders at most, evenly over all")
    args = parser.parse_args()
    weights = args.models / "detector" / "detector.pt"
    detector = YoloDetector.load(weights)
    autoencoder = AutoencoderTiny.from_pretrained(args.models / "generator", subfolder="vae").float()
    plain = renders(args.test)
    if args.limit:  # evenly over the shards, since each holds one kind of scene
        plain = plain[:: max(1, len(plain) // args.limit)][: args.limit]
    sets = {
        "renders": plain,
        "renders, autoencoder": through_autoencoder(plain, autoencoder),
        "renders, JPEG 75": [Labelled(jpeg(item.image, JPEG_QUALITY), item.parts) for item in plain],
    }
    if args.photos is not None:
        sets["photographs"] = photographs(args.photos)
    rows = []
    for name, labelled in sets.items():
        precision = average_precision(weights, labelled, detector.imgsz, 0.6)
        counts, by_defect = at_threshold(detector, labelled)
        rows.append(
            [
                name,
                len(labelled),
                *(f"{precision.get(c, float('nan')):.3f}" for c in CLASS_NAMES),
                share(counts.clean_alarmed, counts.clean),
                share(counts.recalled, counts.defects),
            ]
        )
        print(
            table(
                ["defect", f"recall, {name}"],
                [[kind, share(sum(hits), len(hits))] for kind, hits in sorted(by_defect.items())],
            ),
            flush=True,
        )
    print(machine())
    print(
        table(
            [
                "set",
                "pictures",
                *(f"AP50 {c}" for c in CLASS_NAMES),
                "false alarms on clean",
                "defects recalled",
            ],
            rows,
        )
    )


if __name__ == "__main__":
    main()
