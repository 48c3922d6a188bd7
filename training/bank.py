"""Labelled pictures of the generator itself: they show defects that no render has.

``python -m training.bank make --kind hand --count 300 --first-seed 500000 --out DIR`` generates pictures and
stores the parts that the detector finds. ``sheets --data DIR`` draws them with numbers. An annotator writes
``DIR/labels.txt``: a line ``12 g`` where picture 12 is well-formed throughout, ``12 b`` where all its parts
are malformed, ``12 b 2 3`` where its parts 2 and 3 are, ``12 x`` where it cannot be judged. ``apply --data
DIR`` writes the labels into the truth, in the layout of ``training.anatomy.world``; pictures without a label,
or with ``x``, are left out. ``make --redrawn`` makes pictures whose malformed parts were redrawn once.
``remember`` adds such shards to ``training/eye_labels.jsonl``, and ``restore`` makes the pictures of that
file again, from their seeds, so that nobody has to label them twice.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detectors import boxes
from detectors.body_parts import part_of
from detectors.protocols import Detector
from service.engine.loading import choose_device, load_detector, load_generator, load_inpainter
from service.runtime.settings import read_settings
from training.anatomy.backgrounds import PLAIN_COLOURS
from training.anatomy.captions import caption
from training.anatomy.world import read_shard, shards, write_shard
from training.labelled import LABELS_FILE, WANTED
from training.redrawn import choose, redrawn
from training.remembered import remember, restore
from training.sheets import number_tile, page_of

PART_CONF = 0.25
SAME_IOU = 0.6
REDRAW_CONF = 0.3
STRENGTHS = (0.4, 0.55, 0.75, 1.0)
RAW, LABELS = "raw", "labels.txt"
EXPORT_QUALITY = 92
GRIDS = {"hand": (5, 4, 240), "limb": (4, 3, 320)}
"""Columns, rows and the side of a tile in pixels, by what is labelled: limbs want a closer look."""
COLOURS = ((0, 0, 230), (0, 150, 0), (230, 60, 0), (200, 0, 200), (0, 140, 230), (160, 160, 0), (90, 90, 90))
_CLOTHES = ("white", "blue", "green", "black", "yellow", "brown", "purple", "orange", "grey", "red", "pink")
_CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "hand": {
        "pose": ("open", "open", "relaxed", "relaxed", "two", "three", "pointing", "fist"),
        "skin": ("pale", "light", "tan", "brown", "dark"),
        "side": ("back", "palm"),
        "background": tuple(PLAIN_COLOURS),
    },
    "horse": {
        "coat": ("brown", "black", "white", "grey", "chestnut", "golden"),
        "gait": ("standing", "walking", "galloping"),
        "view": ("side", "side", "angle"),
        "background": tuple(PLAIN_COLOURS),
    },
    "person": {
        "who": ("man", "woman"),
        "pose": ("standing", "walking", "waving", "arms up"),
        "shirt": _CLOTHES,
        "trousers": _CLOTHES,
        "background": tuple(PLAIN_COLOURS),
    },
    "rider": {
        "who": ("man", "woman"),
        "shirt": _CLOTHES,
        "coat": ("brown", "black", "white", "grey", "chestnut", "golden"),
        "background": tuple(PLAIN_COLOURS),
    },
}


def random_prompt(kind: str, rng: np.random.Generator) -> str:
    """Draws a prompt like those that the generator was trained on."""
    words = {name: str(rng.choice(choices)) for name, choices in _CHOICES[kind].items()}
    return caption(kind, words, rng)


def look(detector: Detector, picture: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Everything the detector sees, parts as well-formed ones, of overlapping boxes the surest."""
    found = detector.detect([picture], PART_CONF)[0].by_confidence()
    parts: list[dict[str, Any]] = []
    for xyxy, class_id in zip(found.xyxy, found.class_id, strict=True):
        name = part_of(detector.class_names[class_id])
        same = [part["xyxy"] for part in parts if part["class_name"] == name]
        if not same or boxes.iou([xyxy], same).max() < SAME_IOU:
            parts.append({"class_name": name, "xyxy": [round(float(v), 1) for v in xyxy], "defect": None})
    return parts


def make(args: argparse.Namespace) -> None:
    """Generates; no seed is left out but those in which no wanted part is seen, or nothing to be redrawn."""
    settings = read_settings()
    device = choose_device(settings.device)
    model, detector = load_generator(settings, device), load_detector(settings, device)
    inpainter = (load_inpainter(settings, device) or model) if args.redrawn else None
    pictures, lines = [], []
    for seed in tqdm(range(args.first_seed, args.first_seed + args.count)):
        rng = np.random.default_rng(seed)
        prompt = random_prompt(args.kind, rng)
        line: dict[str, Any] = {"seed": seed, "kind": args.kind, "caption": prompt, "words": {}}
        picture = model.generate_plainly(prompt, seed)
        if inpainter is not None:
            strength = float(rng.choice(STRENGTHS))
            what = choose(detector, picture, WANTED[args.kind], REDRAW_CONF, strength, inpainter.model_id)
            if what is None:
                continue
            picture = redrawn(inpainter, detector, picture, prompt, what, seed)
            line["redrawn"] = asdict(what)
        parts = look(detector, picture)
        if any(part["class_name"] == WANTED[args.kind] for part in parts):
            pictures.append(picture)
            lines.append(line | {"parts": parts})
    args.out.mkdir(parents=True, exist_ok=True)
    write_shard(args.out / f"{RAW}.npz", np.stack(pictures), lines)


def _wanted(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in line["parts"] if part["class_name"] == WANTED[line["kind"]]]


def _tile(picture: NDArray[np.uint8], line: dict[str, Any], number: int, side_px: int) -> NDArray[np.uint8]:
    tile = cv2.resize(picture[..., ::-1], (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    scale = side_px / picture.shape[0]
    parts = _wanted(line)
    for index, part in enumerate(parts):
        x1, y1, x2, y2 = (int(v * scale) for v in part["xyxy"])
        colour = COLOURS[index % len(COLOURS)]
        cv2.rectangle(tile, (x1, y1), (x2, y2), colour, 1)
        if len(parts) > 1:
            at = ((x1 + x2) // 2 - 4, min(y2 + 13 + 11 * (index % 2), side_px - 2))
            cv2.putText(tile, str(index + 1), at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    number_tile(tile, number)
    return np.asarray(tile, np.uint8)


def sheets(args: argparse.Namespace) -> None:
    """Writes numbered contact sheets, for labelling at full size."""
    pictures, lines = read_shard(args.data / f"{RAW}.npz")
    columns, rows, side_px = GRIDS[WANTED[lines[0]["kind"]]]
    tiles = [
        _tile(picture, line, i, side_px)
        for i, (picture, line) in enumerate(zip(pictures, lines, strict=True))
    ]
    for start in range(0, len(tiles), columns * rows):
        page = page_of(tiles[start : start + columns * rows], columns, rows)
        cv2.imwrite(str(args.data / f"sheet-{start:04d}.png"), page)


def labelled(line: dict[str, Any], word: str, numbers: list[int]) -> dict[str, Any]:
    """Returns the truth of one picture with its labels by eye; ``word`` is ``g`` or ``b``."""
    wanted = _wanted(line)
    chosen = [wanted[n - 1] for n in numbers] if numbers else wanted
    bad = [id(part) for part in chosen] if word == "b" else []
    parts = [
        part | {"class_name": f"malformed_{part['class_name']}", "defect": "generated"}
        if id(part) in bad
        else part
        for part in line["parts"]
    ]
    return line | {"parts": parts}


def apply(args: argparse.Namespace) -> None:
    """Writes the labelled shard of the pictures that were labelled."""
    pictures, lines = read_shard(args.data / f"{RAW}.npz")
    rows, truth = [], []
    for text in (args.data / LABELS).read_text().splitlines():
        number, word, *numbers = text.split()
        if word not in ("g", "b", "x"):
            raise SystemExit(f"{text!r}: the word is {word!r}, allowed are g, b and x")
        if word != "x":
            rows.append(int(number))
            truth.append(labelled(lines[int(number)], word, [int(n) for n in numbers]))
    args.out.mkdir(parents=True, exist_ok=True)
    write_shard(args.out / f"{args.name}-0000.npz", pictures[rows], truth)


def export(args: argparse.Namespace) -> None:
    """Writes labelled shards as JPEG files with ``labels.jsonl`` beside them, for ``bench.eyes``."""
    args.out.mkdir(parents=True, exist_ok=True)
    kept = []
    for path in shards(args.data):
        for picture, line in zip(*read_shard(path), strict=True):
            name = f"{line['kind']}-{line['seed']}.jpg"
            quality = [cv2.IMWRITE_JPEG_QUALITY, EXPORT_QUALITY]
            cv2.imwrite(str(args.out / name), picture[..., ::-1], quality)
            kept.append({"file": name} | {key: line[key] for key in ("kind", "seed", "caption", "parts")})
    (args.out / LABELS_FILE).write_text("".join(json.dumps(line) + "\n" for line in kept))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("make")
    first.add_argument("--kind", choices=list(WANTED), required=True)
    first.add_argument("--count", type=int, required=True)
    first.add_argument("--first-seed", type=int, required=True)
    first.add_argument("--redrawn", action="store_true", help="with their malformed parts redrawn once")
    first.add_argument("--out", type=Path, required=True)
    first.set_defaults(run=make)
    second = commands.add_parser("sheets")
    second.set_defaults(run=sheets)
    third = commands.add_parser("apply")
    third.add_argument("--out", type=Path, required=True)
    third.add_argument("--name", default="generated", help="of the shard that is written")
    third.set_defaults(run=apply)
    fourth = commands.add_parser("export")
    fourth.add_argument("--out", type=Path, required=True)
    fourth.set_defaults(run=export)
    fifth = commands.add_parser("remember")
    fifth.set_defaults(run=remember)
    sixth = commands.add_parser("restore")
    sixth.add_argument("--out", type=Path, required=True)
    sixth.set_defaults(run=restore)
    for command in (second, third, fourth, fifth):
        of_shards = command in (fourth, fifth)
        help_text = "folder of labelled shards" if of_shards else "folder that make wrote"
        command.add_argument("--data", type=Path, required=True, help=help_text)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
