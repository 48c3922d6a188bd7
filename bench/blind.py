"""Pictures of several arms, mixed and without a name, looked at by eye: how many arms and legs are wrong?

``python -m bench.blind sheets --pictures DIR/pictures --arms a b4 e --out DIR`` draws numbered sheets of what
``bench.open_question`` made and keeps in ``key.json`` which is which. Whoever looks at them writes
``labels_NAME.txt`` into the same folder, a line ``12 2`` where two limbs of picture 12 are wrong, or, if they
are not counted, ``12 g`` where none is and ``12 b`` where any is; ``12 x`` where nothing can be made out.
``count --out DIR`` tells, arm by arm, what they saw.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from bench.intervals import mean, paired, share, table
from bench.open_question import wishes
from detectors.detections import Image
from training.sheets import number_tile, page_of

KINDS = ("person", "horse")
"""Of these one can say by eye whether all limbs are there."""
COLUMNS, ROWS, SIDE_PX = 4, 3, 320
KEY, WORDS = "key.json", ("0", "1", "2", "3", "4", "g", "b", "x")
NONE_WRONG = ("0", "g")
Seen = Mapping[str, Mapping[int, str]]
"""By arm and the picture's place among the wishes: what was written of it."""


def drawn(arms: Sequence[str], places: Sequence[int], seed: int) -> list[tuple[str, int]]:
    """Every arm's pictures of those wishes, in an order that tells nothing."""
    pairs = np.array([(arm, place) for arm in arms for place in places], dtype=object)
    np.random.default_rng(seed).shuffle(pairs)
    return [(str(arm), int(place)) for arm, place in pairs]


def sheet(pictures: Sequence[Image], first: int) -> Image:
    """Numbered tiles; uint8 BGR, as the pictures are."""
    tiles = []
    for index, picture in enumerate(pictures):
        tile = np.asarray(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
        number_tile(tile, first + index)
        tiles.append(tile)
    return page_of(tiles, COLUMNS, ROWS)


def make_sheets(args: argparse.Namespace) -> None:
    """Draws the sheets and keeps the key."""
    places = [place for place, (prompt, _) in enumerate(wishes(args.of)) if prompt.kind in KINDS]
    order = drawn(args.arms, places[: args.count], args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    per_sheet = COLUMNS * ROWS
    for first in range(0, len(order), per_sheet):
        files = [args.pictures / f"{arm}-{place:03d}.png" for arm, place in order[first : first + per_sheet]]
        pictures = [np.asarray(cv2.imread(str(file)), np.uint8) for file in files]
        cv2.imwrite(str(args.out / f"sheet-{first:04d}.png"), sheet(pictures, first))
    (args.out / KEY).write_text(json.dumps(order))


def words_of(folder: Path) -> dict[int, str]:
    """What was written of each number, of all files of labels."""
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


def seen_of(order: Sequence[tuple[str, int]], words: Mapping[int, str]) -> Seen:
    """What was seen, by arm and wish; without what was not looked at or could not be told."""
    seen: dict[str, dict[int, str]] = {}
    for number, (arm, place) in enumerate(order):
        if words.get(number, "x") != "x":
            seen.setdefault(arm, {})[place] = words[number]
    return dict(sorted(seen.items()))


def rows(seen: Seen, against: str | None = None) -> Iterator[list[str]]:
    """A line for each arm: the share without a wrong limb, by kind too, and against one arm, else the first.

    Where limbs were counted, also how many are wrong, and in how many pictures fewer and more than in that
    arm's.
    """
    kinds = [prompt.kind for prompt, _ in wishes(1 + max(max(arm, default=0) for arm in seen.values()))]
    base = seen[against or next(iter(seen))]
    for name, arm in seen.items():
        good = {place: word in NONE_WRONG for place, word in arm.items()}
        groups = [[one for place, one in good.items() if kinds[place] == kind] for kind in KINDS]
        both = [(one, base[place] in NONE_WRONG) for place, one in good.items() if place in base]
        yield [
            name, share(sum(good.values()), len(good)),
            *(f"{sum(group)} of {len(group)}" for group in groups),
            paired(both.count((True, False)), both.count((False, True)), digits=3), *_counted(arm, base),
        ]  # fmt: skip


def _counted(arm: Mapping[int, str], base: Mapping[int, str]) -> tuple[str, str]:
    wrong, first = ({p: int(w) for p, w in one.items() if w.isdigit()} for one in (arm, base))
    if not wrong:
        return "–", "–"
    change = [wrong[place] - first[place] for place in wrong if place in first]
    return mean(list(wrong.values())), paired(sum(c < 0 for c in change), sum(c > 0 for c in change), 3)


def count(args: argparse.Namespace) -> None:
    """Prints the table."""
    order = [(arm, place) for arm, place in json.loads((args.out / KEY).read_text("utf-8"))]
    seen = seen_of(order, words_of(args.out))
    first = args.against or next(iter(seen))
    columns = (f"against {first}, paired", "limbs wrong, mean", f"fewer (+) and more (−) than {first}")
    print(table(("arm", "no limb wrong, by eye", *KINDS, *columns), list(rows(seen, first))))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("sheets", help="draw sheets and keep the key")
    first.add_argument("--pictures", type=Path, required=True, help="what bench.open_question made")
    first.add_argument("--arms", nargs="+", required=True, help="as the pictures' names begin: a, b4, e")
    first.add_argument("--of", type=int, default=200, help="how many wishes that run had")
    first.add_argument("--count", type=int, default=60, help="pictures of each arm")
    first.add_argument("--seed", type=int, default=0, help="of the order")
    first.set_defaults(run=make_sheets)
    second = commands.add_parser("count", help="tell what was seen")
    second.add_argument("--against", help="arm that the others are compared with; the first if left out")
    second.set_defaults(run=count)
    for command in (first, second):
        command.add_argument("--out", type=Path, required=True, help="folder of the sheets and labels")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
