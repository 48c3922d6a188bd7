"""Pictures with boxes and labels, in whichever of three formats a folder has them.

``hands.jsonl`` and ``pictures.csv`` (labels by eye with votes, splits and sources), COCO (one ``.json`` with
``images``, ``annotations`` and ``categories``), or YOLO (``images``, ``labels`` and a ``.yaml`` of names).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with ultralytics

from detectors.body_parts import is_malformed, part_of
from training.textures import read_picture

HANDS_FILE, PICTURES_FILE = "hands.jsonl", "pictures.csv"
JUDGED = ("well_formed", "malformed")
AGREED = ("MM", "WW")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True, slots=True)
class Judged:
    """One part of a picture and what was said of it.

    Attributes:
        picture: the file.
        part: ``hand``, ``limb``.
        xyxy: its box in pixels, half-open.
        malformed: the truth.
        agreed: the first two who looked said the same; True where nobody counted.
        severity: 0 well-formed, 1 seen when one looks for it, 2 plain to anybody.
        source: who made the picture.
    """

    picture: Path
    part: str
    xyxy: tuple[float, float, float, float]
    malformed: bool
    agreed: bool = True
    severity: int = 0
    source: str = ""

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        return max(self.xyxy[2] - self.xyxy[0], self.xyxy[3] - self.xyxy[1])


def read(folder: Path, split: str = "") -> list[Judged]:
    """All judged parts of a folder, those of one picture together.

    Args:
        folder: in one of the three formats.
        split: only this one (of ``pictures.csv``, or the folder's name in a YOLO set); all if empty.

    Raises:
        ValueError: if the folder has none of them, or nothing of the split.
    """
    if (folder / HANDS_FILE).is_file():
        found = list(_by_votes(folder, split))
    elif yaml_files := sorted(folder.glob("*.yaml")):
        found = list(_yolo(folder, yaml_files[0], split))
    elif json_files := sorted(folder.glob("*.json")):
        found = list(_coco(folder, json_files[0]))
    else:
        raise ValueError(f"{folder}: no {HANDS_FILE}, no .yaml of a YOLO set and no .json of a COCO set")
    if not found:
        raise ValueError(f"{folder}: nothing that is judged in the split {split!r}")
    return sorted(found, key=lambda one: one.picture)


def read_sound(folder: Path) -> list[Judged]:
    """The hands of a YOLO folder without names (``images``, ``labels``), all of them well-formed."""
    return [Judged(path, "hand", xyxy, False) for path in _pictures(folder) for _, xyxy in _label_lines(path)]


def _by_votes(folder: Path, split: str) -> Iterator[Judged]:
    with (folder / PICTURES_FILE).open(encoding="utf-8", newline="") as file:
        pictures = {row["picture"]: row for row in csv.DictReader(file)}
    for line in map(json.loads, (folder / HANDS_FILE).read_text("utf-8").splitlines()):
        about = pictures[line["picture"]]
        if line["label"] in JUDGED and split in ("", about["split"]):
            malformed, agreed = line["label"] == "malformed", line["votes"][:2] in AGREED
            file, xyxy = folder / "pictures" / line["picture"], _box(line["xyxy"])
            yield Judged(file, "hand", xyxy, malformed, agreed, line["severity"], about["source"])


def _coco(folder: Path, path: Path) -> Iterator[Judged]:
    kept = json.loads(path.read_text("utf-8"))
    files = {image["id"]: image["file_name"] for image in kept["images"]}
    names = {category["id"]: category["name"] for category in kept["categories"]}
    for one in kept["annotations"]:
        x, y, width, height = one["bbox"]
        file = folder / files[one["image_id"]]
        picture = file if file.is_file() else folder / "images" / files[one["image_id"]]
        yield _named(picture, names[one["category_id"]], (x, y, x + width, y + height))


def _yolo(folder: Path, path: Path, split: str) -> Iterator[Judged]:
    names: Any = yaml.safe_load(path.read_text("utf-8"))["names"]
    for picture in _pictures(folder):
        if split in ("", *picture.relative_to(folder).parts):
            for index, xyxy in _label_lines(picture):
                yield _named(picture, str(names[index]), xyxy)


def _named(picture: Path, name: str, xyxy: tuple[float, float, float, float]) -> Judged:
    return Judged(picture, part_of(name), xyxy, is_malformed(name))


def _pictures(folder: Path) -> Sequence[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and "images" in p.parts)


def _label_lines(picture: Path) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
    parts = list(picture.with_suffix(".txt").parts)
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    path = Path(*parts)
    if not path.is_file():
        return
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not lines:
        return
    height, width = read_picture(picture).shape[:2]
    for line in lines:
        x, y, w, h = (float(v) for v in line[1:5])
        yield (
            int(line[0]),
            _box([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]),
        )


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in values)
    return x1, y1, x2, y2
