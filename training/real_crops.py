"""Crops of hands in real pictures, with labels, weights and where they come from, for the critic.

    python -m training.real_crops --generated DIR --photos DIR --points FILE --renders DIR … --out FILE

Crops are those of ``hands.jsonl`` (all splits, labelled by eye), of photographs (well-formed) and, where FILE
has MediaPipe's points, hands of the training split warped by ``training.anatomy.hand_warps``: as many
controls as malformed ones, of the same hands, so that neither style nor sharpness tells.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from detectors.body_parts import is_malformed, part_of
from detectors.critic import critic_crop
from detectors.detections import Image
from training.anatomy.hand_warps import CONTROLS, DEFECTS, warp
from training.anatomy.photo_masks import palm_size
from training.anatomy.world import read_shard, shards
from training.real_pictures import read_photos
from training.textures import read_picture, spoil

PX, CONTEXT = 224, 1.5
WIDE = 4 / 3
"""A warp is done in a crop so much wider, of which the middle is kept: its rim stays where it is."""
WEIGHTS = {"MM": 1.0, "WW": 1.0, "W": 0.7}
"""How much a label by such votes counts; where a third had to decide, ``SPLIT_WEIGHT``."""
SPLIT_WEIGHT = 0.5
RENDER = "render"
LEAST_PULL = 0.22
"""A defect moves some joint at least so far, in palms: less is a pose."""
TRIES = 8
MOST_RENDERS = 250


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One crop.

    Attributes:
        crop: uint8 RGB (PX, PX, 3).
        malformed: its label.
        weight: how much it counts.
        split: ``train``, ``select``, ``test``; ``render`` of what is not real.
        kind: ``eye``, ``photo``, ``warp-…``, ``control-…``, ``render``.
        about: votes, severity, source and picture, as JSON.
    """

    crop: Image
    malformed: bool
    weight: float
    split: str
    kind: str
    about: str


def of_eyes(folder: Path) -> Iterator[Example]:
    """The judged hands of ``hands.jsonl``."""
    with (folder / "pictures.csv").open(encoding="utf-8", newline="") as file:
        pictures = {row["picture"]: row for row in csv.DictReader(file)}
    last, image = "", np.zeros((1, 1, 3), np.uint8)
    for line in map(json.loads, (folder / "hands.jsonl").read_text("utf-8").splitlines()):
        if line["label"] not in ("well_formed", "malformed"):
            continue
        if line["picture"] != last:
            last, image = line["picture"], read_picture(folder / "pictures" / line["picture"])
        about = pictures[last]
        kept = {key: line[key] for key in ("picture", "votes", "severity", "kind", "xyxy")}
        yield Example(
            critic_crop(image, line["xyxy"], PX, CONTEXT), line["label"] == "malformed",
            WEIGHTS.get(line["votes"][:2], SPLIT_WEIGHT), about["split"], "eye",
            json.dumps(kept | {"source": about["source"]}),
        )  # fmt: skip


def of_photos(folder: Path, most: int, rng: np.random.Generator) -> Iterator[Example]:
    """Hands of photographs, well-formed; of the training split at most so many."""
    for split in ("train", "select", "test"):
        labelled = read_photos(folder / split)
        order = rng.permutation(len(labelled))[: most if split == "train" else None]
        for index in order:
            image = read_picture(labelled[index].path)
            for xyxy in labelled[index].xyxy:
                about = json.dumps({"picture": labelled[index].path.name, "xyxy": xyxy.round(1).tolist()})
                yield Example(critic_crop(image, xyxy, PX, CONTEXT), False, 0.5, split, "photo", about)


def pulled(points: np.ndarray, defect: bool, rng: np.random.Generator) -> tuple[str, np.ndarray] | None:
    """A warp that this hand allows: its name and where the points go; None if there is none."""
    edits = DEFECTS if defect else CONTROLS
    for name in rng.permutation([*edits] * 2)[:TRIES].tolist():
        moved = edits[name](points, rng)
        if moved is None:
            continue
        farthest = float(np.linalg.norm(moved - points, axis=1).max()) / palm_size(points)
        if not defect or name == "merged" or farthest >= LEAST_PULL:
            return name, moved
    return None


def of_warps(path: Path, times: int, rng: np.random.Generator) -> Iterator[Example]:
    """Warped hands, malformed and as many controls, for each line of points."""
    lines = [line for line in map(json.loads, path.read_text("utf-8").splitlines()) if line["points"]]
    for line in lines:
        image = read_picture(Path(line["image"]))
        wide, points = wide_crop(image, line["box"], np.asarray(line["points"], np.float32))
        for turn in range(2 * times):
            defect = turn % 2 == 0
            made = pulled(points, defect, rng)
            if made is None:
                break
            middle = _middle(warp(wide, points, made[1]))
            kind = f"{'warp' if defect else 'control'}-{made[0]}"
            about = json.dumps({"picture": Path(line["image"]).name})
            yield Example(spoil(middle, rng), defect, 0.5, "train", kind, about)


def of_renders(folder: Path, most: int, rng: np.random.Generator) -> Iterator[Example]:
    """Hands of renders, or of what the bundled generator made (``training.bank make``): what is not real."""
    found = []
    for path in shards(folder):
        pictures, lines = read_shard(path)
        for picture, line in zip(pictures, lines, strict=True):
            found += [(picture, part) for part in line["parts"] if part_of(part["class_name"]) == "hand"]
    for index in rng.permutation(len(found))[:most]:
        picture, part = found[index]
        crop = critic_crop(spoil(picture, rng), part["xyxy"], PX, CONTEXT)
        yield Example(crop, is_malformed(part["class_name"]), 1.0, RENDER, RENDER, "{}")


def wide_crop(image: Image, xyxy: ArrayLike, points: np.ndarray) -> tuple[Image, np.ndarray]:
    """The hand with more around it than the critic sees, and its points in there."""
    px = round(PX * WIDE)
    x1, y1, x2, y2 = (float(v) for v in np.asarray(xyxy))
    side = max(x2 - x1, y2 - y1) * CONTEXT * WIDE
    corner = np.array([(x1 + x2 - side) / 2, (y1 + y2 - side) / 2], np.float32)
    wide = critic_crop(image, xyxy, px, CONTEXT * WIDE)
    return wide, ((points - corner) * px / side).astype(np.float32)


def _middle(wide: Image) -> Image:
    start = (wide.shape[0] - PX) // 2
    return np.ascontiguousarray(wide[start : start + PX, start : start + PX])


def save(path: Path, examples: Sequence[Example]) -> None:
    """Writes them as one ``.npz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        name: np.array([getattr(one, name) for one in examples])
        for name in ("malformed", "weight", "split", "kind", "about")
    }
    np.savez(path, crops=np.stack([one.crop for one in examples]), **columns)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generated", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--points", type=Path, help="lines of image, box and MediaPipe's points")
    parser.add_argument("--renders", type=Path, nargs="*", default=[], help="folders of renders' shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-photos", type=int, default=600)
    parser.add_argument("--warps", type=int, default=1, help="malformed ones of each hand with points")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    found = list(tqdm(of_eyes(args.generated), desc="judged"))
    found += tqdm(of_photos(args.photos, args.most_photos, rng), desc="photographs")
    if args.points is not None:
        found += tqdm(of_warps(args.points, args.warps, rng), desc="warps")
    for folder in args.renders:
        found += of_renders(folder, MOST_RENDERS, rng)
    save(args.out, found)


if __name__ == "__main__":
    main()
