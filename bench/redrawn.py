"""Success of one redraw of a malformed part by strength: ``python -m bench.redrawn``.

Parts that the detector called malformed were redrawn once each, at a random strength, and all results were
labelled by eye without knowing the strength (``training.bank make --redrawn``). The labels come
with the project (``training/eye_labels.jsonl``), so nothing has to be drawn again to count them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.intervals import machine, share, table
from detectors import boxes
from detectors.body_parts import is_malformed, part_of
from training.labelled import WANTED
from training.remembered import REMEMBERED, truth_of

SAME_IOU = 0.4


@dataclass(frozen=True, slots=True)
class Redrawn:
    """One part that was redrawn and labelled by eye."""

    kind: str
    strength: float
    well_formed: bool


def redrawn_parts(lines: Sequence[dict[str, Any]]) -> Iterator[Redrawn]:
    """The parts that were redrawn, by lines of truth: of the labelled ones, that which lies there best."""
    for line in lines:
        if "redrawn" not in line:
            continue
        labelled = [part for part in line["parts"] if part_of(part["class_name"]) == WANTED[line["kind"]]]
        for _, place in line["redrawn"]["places"]:
            overlap = boxes.iou([place], [part["xyxy"] for part in labelled])[0]
            if len(overlap) and overlap.max() >= SAME_IOU:
                nearest = labelled[int(np.argmax(overlap))]["class_name"]
                yield Redrawn(line["kind"], line["redrawn"]["strength"], not is_malformed(nearest))


def rows(parts: Sequence[Redrawn]) -> list[list[str]]:
    """A line for each strength: by kind of picture, and all together; and what one good one costs."""
    kinds = sorted({part.kind for part in parts})
    made = []
    for strength in sorted({part.strength for part in parts}):
        here = [part for part in parts if part.strength == strength]
        groups = [[part for part in here if part.kind == kind] for kind in kinds] + [here]
        shares = [share(sum(part.well_formed for part in group), len(group)) for group in groups]
        good = sum(part.well_formed for part in here)
        made.append([f"{strength:g}", *shares, f"{strength * len(here) / good:.1f}" if good else "–"])
    return made


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    lines = [truth_of(json.loads(line)) for line in REMEMBERED.read_text("utf-8").splitlines()]
    parts = list(redrawn_parts(lines))
    kinds = sorted({part.kind for part in parts})
    header = ("strength", *(f"well-formed, {kind}" for kind in kinds), "all", "full redraws for a good one")
    print(machine())
    print(table(header, rows(parts)))


if __name__ == "__main__":
    main()
