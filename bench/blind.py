"""Blind labelling by eye of several arms' pictures, mixed and without names: which arms and legs are wrong?

``python -m bench.blind sheets --pictures DIR/pictures --arms first_seed seeds_4 repair --out DIR`` draws
numbered sheets of the pictures that ``bench.open_question`` made, and writes to ``key.json`` which arm made
which picture. An annotator writes ``labels_NAME.txt`` into the same folder: a line ``12 2`` where two limbs
of picture 12 are wrong; or, if limbs are not counted, ``12 g`` where none is wrong and ``12 b`` where any is;
``12 x`` where nothing can be made out. ``count --out DIR`` prints the counts by arm.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from bench.arms import ARMS, Arm, arm_named
from bench.intervals import mean, paired, share, table
from bench.open_question import requests
from detectors.detections import Image
from training.sheets import number_tile, page_of
from training.textures import read_picture

KINDS = ("person", "horse")
"""Kinds whose limbs can be counted by eye."""
COLUMNS, ROWS, SIDE_PX = 4, 3, 320
KEY, WORDS = "key.json", ("0", "1", "2", "3", "4", "g", "b", "x")
NONE_WRONG = ("0", "g")
Seen = Mapping[Arm, Mapping[int, str]]
"""Labels by arm and by the request's number."""


def drawn(arms: Sequence[Arm], places: Sequence[int], seed: int) -> list[tuple[Arm, int]]:
    """Returns every arm's pictures of those requests in a random order."""
    pairs = [(arm, place) for arm in arms for place in places]
    order = np.arange(len(pairs))
    np.random.default_rng(seed).shuffle(order)
    return [pairs[index] for index in order]


def sheet(pictures: Sequence[Image], first: int) -> Image:
    """Draws numbered tiles; uint8 BGR, as the pictures are."""
    tiles = []
    for index, picture in enumerate(pictures):
        tile = np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
        number_tile(tile, first + index)
        tiles.append(tile)
    return page_of(tiles, COLUMNS, ROWS)


def make_sheets(args: argparse.Namespace) -> None:
    """Draws the sheets and writes the key."""
    places = [place for place, (prompt, _) in enumerate(requests(args.of)) if prompt.kind in KINDS]
    order = drawn(args.arms, places[: args.count], args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    per_sheet = COLUMNS * ROWS
    for first in range(0, len(order), per_sheet):
        files = [
            args.pictures / f"{arm.id}-{place:03d}.png" for arm, place in order[first : first + per_sheet]
        ]
        pictures = [read_picture(file)[..., ::-1] for file in files]
        cv2.imwrite(str(args.out / f"sheet-{first:04d}.png"), sheet(pictures, first))
    (args.out / KEY).write_text(json.dumps([(arm.id, place) for arm, place in order]))


def words_of(folder: Path) -> dict[int, str]:
    """Reads all files of labels: the label by the picture's number.

    Raises:
        SystemExit: if a label is not allowed.
    """
    found: dict[int, str] = {}
    for path in sorted(folder.glob("labels_*.txt")):
        for line in path.read_text("utf-8").splitlines():
            number, word = line.split()
            if word not in WORDS:
                raise SystemExit(
                    f"{path.name}: {line!r}: the word is {word!r}, allowed are {', '.join(WORDS)}"
                )
            found[int(number)] = word
    return found


def seen_of(order: Sequence[tuple[Arm, int]], words: Mapping[int, str]) -> Seen:
    """Sorts the labels by arm and request; pictures without a label, or with ``x``, are left out."""
    seen: dict[Arm, dict[int, str]] = {}
    for number, (arm, place) in enumerate(order):
        if words.get(number, "x") != "x":
            seen.setdefault(arm, {})[place] = words[number]
    return {arm: seen[arm] for arm in ARMS if arm in seen}


def rows(seen: Seen, against: Arm | None = None) -> Iterator[list[str]]:
    """Yields a line for each arm: the share without a wrong limb, also by kind and against one arm.

    Where limbs were counted, the line also has the mean of wrong limbs, and the numbers of pictures with
    fewer and with more of them than in the other arm.

    Args:
        seen: labels by arm and request.
        against: the arm with which the others are compared; the first if None.
    """
    kinds = [
        prompt.kind for prompt, _ in requests(1 + max(max(labels, default=0) for labels in seen.values()))
    ]
    base = seen[against or next(iter(seen))]
    for arm, labels in seen.items():
        good = {place: word in NONE_WRONG for place, word in labels.items()}
        groups = [[one for place, one in good.items() if kinds[place] == kind] for kind in KINDS]
        both = [(one, base[place] in NONE_WRONG) for place, one in good.items() if place in base]
        yield [
            arm.short, share(sum(good.values()), len(good)),
            *(f"{sum(group)} of {len(group)}" for group in groups),
            paired(both.count((True, False)), both.count((False, True)), digits=3), *_counted(labels, base),
        ]  # fmt: skip


def _counted(labels: Mapping[int, str], base: Mapping[int, str]) -> tuple[str, str]:
    wrong, first = ({p: int(w) for p, w in one.items() if w.isdigit()} for one in (labels, base))
    if not wrong:
        return "–", "–"
    change = [wrong[place] - first[place] for place in wrong if place in first]
    return mean(list(wrong.values())), paired(sum(c < 0 for c in change), sum(c > 0 for c in change), 3)


def count(args: argparse.Namespace) -> None:
    """Prints the table."""
    order = [(arm_named(name), place) for name, place in json.loads((args.out / KEY).read_text("utf-8"))]
    seen = seen_of(order, words_of(args.out))
    first = args.against or next(iter(seen))
    name = first.short
    columns = (f"against {name}, paired", "limbs wrong, mean", f"fewer (+) and more (−) than {name}")
    print(table(("arm", "no limb wrong, by eye", *KINDS, *columns), list(rows(seen, first))))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("sheets", help="draw sheets and write the key")
    first.add_argument("--pictures", type=Path, required=True, help="pictures of bench.open_question")
    first.add_argument(
        "--arms", type=arm_named, nargs="+", required=True, help="ids or short names: first_seed, b4, e"
    )
    first.add_argument("--of", type=int, default=200, help="number of requests of that run")
    first.add_argument("--count", type=int, default=60, help="pictures of each arm")
    first.add_argument("--seed", type=int, default=0, help="of the order")
    first.set_defaults(run=make_sheets)
    second = commands.add_parser("count", help="print the counts by arm")
    second.add_argument(
        "--against", type=arm_named, help="arm with which the others are compared; the first if left out"
    )
    second.set_defaults(run=count)
    for command in (first, second):
        command.add_argument("--out", type=Path, required=True, help="folder of the sheets and labels")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
