"""Labels by eye, kept without the pictures, which are made again from their seeds.

``training/eye_labels.jsonl`` has a line for each picture: set, kind, seed and prompt, what was redrawn in it
if anything, and of each part its class, its box and its label. ``python -m training.bank remember`` and
``restore`` write and read it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from detectors.body_parts import part_of
from detectors.protocols import Detector
from service.diffusion.model import DiffusionModel
from service.engine.loading import choose_device, load_detector, load_generator, load_inpainter
from service.runtime.settings import read_settings
from training.anatomy.world import read_shard, shards, write_shard
from training.labelled import WANTED
from training.redrawn import Redraw, redrawn

REMEMBERED = Path(__file__).parent / "eye_labels.jsonl"
WELL_FORMED, MALFORMED = "g", "b"
KEPT = ("kind", "seed", "caption", "redrawn")
"""What a line of truth and a remembered one have in common."""


def remembered(line: dict[str, Any], name: str) -> dict[str, Any]:
    """A line of ``REMEMBERED``: of each part its class, its box in pixels and, if any, the eye's word."""
    parts = []
    for part in line["parts"]:
        word = MALFORMED if part["defect"] else WELL_FORMED
        looked_at = part_of(part["class_name"]) == WANTED[line["kind"]]
        box = [round(value) for value in part["xyxy"]]
        parts.append([part_of(part["class_name"]), *box, *([word] if looked_at else [])])
    kept = {key: line[key] for key in KEPT if key in line}
    return {"set": name} | kept | {"parts": parts}


def truth_of(kept: dict[str, Any]) -> dict[str, Any]:
    """The line of truth that a remembered line stands for."""
    parts = []
    for name, x1, y1, x2, y2, *word in kept["parts"]:
        is_bad = word == [MALFORMED]
        parts.append(
            {
                "class_name": f"malformed_{name}" if is_bad else name,
                "xyxy": [float(value) for value in (x1, y1, x2, y2)],
                "defect": "generated" if is_bad else None,
            }
        )
    return {key: kept[key] for key in KEPT if key in kept} | {"words": {}, "parts": parts}


def remember(args: argparse.Namespace) -> None:
    """Adds labelled shards to ``REMEMBERED``, each under its own name."""
    with REMEMBERED.open("a") as stream:
        for path in shards(args.data):
            for line in read_shard(path)[1]:
                name = f"{args.data.name}/{path.stem.rsplit('-', 1)[0]}"
                stream.write(json.dumps(remembered(line, name)) + "\n")


def restore(args: argparse.Namespace) -> None:
    """Makes the pictures of ``REMEMBERED`` again and writes their sets under ``--out``."""
    settings = read_settings()
    device = choose_device(settings.device)
    model = load_generator(settings, device)
    again = _redrawing(load_inpainter(settings, device) or model, load_detector(settings, device))
    defaults = model.defaults
    sets: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, REMEMBERED.read_text().splitlines()):
        sets.setdefault(line["set"], []).append(line)
    for name, lines in sets.items():
        pictures = []
        for line in tqdm(lines, desc=name):
            model.defaults = replace(defaults, **line.get("sampling", {}))
            pictures.append(again(model.generate_plainly(line["caption"], line["seed"]), line))
        target = args.out / f"{name}-0000.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_shard(target, np.stack(pictures), [truth_of(line) for line in lines])


def _redrawing(
    inpainter: DiffusionModel, detector: Detector
) -> Callable[[NDArray[np.uint8], dict[str, Any]], NDArray[np.uint8]]:
    """Redraws in a picture what a remembered line says was redrawn, if anything."""

    def again(picture: NDArray[np.uint8], line: dict[str, Any]) -> NDArray[np.uint8]:
        if "redrawn" not in line:
            return picture
        what = Redraw(**line["redrawn"])
        return redrawn(inpainter, detector, picture, line["caption"], what, line["seed"])

    return again
