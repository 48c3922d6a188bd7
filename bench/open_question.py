"""Does looking save time against another seed? ``python -m bench.open_question --count 200 --out DIR``.

The same prompts and unselected seeds go through every arm. What a picture costs is counted in seconds and in
arithmetic; whether it is clean is the judge's word, which no arm knows. A picture in which the wanted hand or
body is not to be found is not clean, or an arm could win by losing it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from bench.asdff_arm import asdff_arm
from bench.cases import MALFORMED, Case, parts_of
from bench.generator import FOUND_CONF, KINDS, WANTED
from bench.intervals import machine, mean, paired, share, table
from bench.judge import Judge
from bench.meter import Cost, Meter, sum_of
from bench.models import load_models
from bench.prompts import Prompt, prompts
from bench.repair import redraw_once
from detectors.body_parts import part_of
from detectors.detections import Image
from service.core.params import Method, Policy, RepairParams, WatchParams
from service.core.requests import GenerateRequest
from service.diffusion.model import DiffusionModel
from service.engine.engine import DiffusionEngine
from service.repair.inspection import Inspector

SEEDS_TRIED = 4
"""How many seeds an arm may try for one picture."""
SEED_STRIDE = 100
"""Between two pictures' first seeds, so that no two share one."""
ONCE = RepairParams(strengths=(0.4,), seeds_per_attempt=1, policy=Policy.EVERY)
Arm = Callable[[str, int], Image]


@dataclass(frozen=True, slots=True)
class Made:
    """One picture of one arm: what it cost and what the judge says."""

    kind: str
    clean: bool
    cost: Cost


class Arms:
    """The ways to a picture, each from a prompt and a first seed.

    Args:
        engine: generates, looks and repairs.
        generator: its model, for the arm that uses no engine.
        redraws: what redraws in the engine, for the arm that uses no ladder.
        inspector: what finds in any picture, for the same.
    """

    def __init__(
        self,
        engine: DiffusionEngine,
        generator: DiffusionModel,
        redraws: DiffusionModel,
        inspector: Inspector,
    ) -> None:
        self._engine, self._generator, self._redraws = engine, generator, redraws
        self._inspector = inspector

    def all(self) -> dict[str, Arm]:
        """Every arm but those of another seed, by its name."""
        watched = WatchParams(max_restarts=SEEDS_TRIED - 1)
        in_flight = WatchParams(max_restarts=SEEDS_TRIED - 1, in_flight=True)
        nudging = RepairParams(methods=(Method.REDRAW, Method.NUDGE))
        return {
            "c: every hand and limb redrawn once": self._redrawn_once,
            "d: asdff": asdff_arm(self._generator, self._engine),
            "e: repair at the end": self._asking(repair=RepairParams()),
            "f: watch and abort, then repair": self._asking(repair=RepairParams(), watch=watched),
            "g: repair in flight, then at the end": self._asking(repair=RepairParams(), watch=in_flight),
            "h: as f, with nudging": self._asking(repair=nudging, watch=watched),
            "i: as c, kept only if better": self._asking(repair=ONCE),
            "j: the best of three, then repair": self._asking(repair=RepairParams(), best_of=3),
            "k: watch and abort, no repair": self._asking(repair=None, watch=watched),
            "l: the best of four, no repair": self._asking(repair=None, best_of=4),
        }

    def _asking(self, **wishes: Any) -> Arm:
        return lambda prompt, seed: (
            self._engine.generate(GenerateRequest(prompt=prompt, seed=seed, **wishes))[0].image
        )

    def plain(self, prompt: str, seed: int) -> tuple[Image, bool]:
        """What comes, and whether the detector has nothing to say to it."""
        report = self._engine.generate(GenerateRequest(prompt=prompt, seed=seed, repair=None))[0]
        return report.image, not report.regions

    def _redrawn_once(self, prompt: str, seed: int) -> Image:
        """As the usual detailer does: every part once at 0.4, and whatever comes of it stays."""
        image, _ = self.plain(prompt, seed)
        return redraw_once(self._redraws, self._inspector, Case(image, "", prompt, seed), ONCE).image


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """One seed's picture, whether the detector was content, and what it cost."""

    image: Image
    content: bool
    cost: Cost


def another_seed(tries: Sequence[Try], most: int) -> tuple[Image, Cost]:
    """The first picture, of at most so many, that the detector was content with, or the last; all it cost."""
    taken = next((i for i, one in enumerate(tries[:most]) if one.content), min(most, len(tries)) - 1)
    return tries[taken].image, sum_of([one.cost for one in tries[: taken + 1]])


class Examiner:
    """Says whether a picture is clean."""

    def __init__(self, engine: DiffusionEngine, judge: Judge) -> None:
        self._engine, self._judge = engine, judge

    def is_clean(self, image: Image, kind: str) -> bool:
        """Whether what was wanted is there and the judge finds none of its parts malformed."""
        found = self._engine.detect(image, FOUND_CONF)
        names = {part_of(self._engine.class_names[i]) for i in found.class_id}
        if not set(WANTED[kind]) <= names:
            return False
        places = parts_of(self._engine, image)
        return max(self._judge.malformed([image] * len(places), places), default=0.0) <= MALFORMED


def wishes(count: int, kinds: Sequence[str] = KINDS) -> list[tuple[Prompt, int]]:
    """Prompts of the kinds in turn, each with its first seed; the first of the bench, none left out."""
    made = []
    for index in range(count):
        kind = kinds[index % len(kinds)]
        made.append((prompts(kind)[index // len(kinds) % 50], 70_000 + SEED_STRIDE * index))
    return made


def short(name: str) -> str:
    """An arm's letter, and how many seeds it has: ``b3``."""
    return name.split(":")[0] + "".join(letter for letter in name if letter.isdigit())


def keep_pictures(name: str, images: Sequence[Image], folder: Path) -> None:
    """Writes what an arm made, to be looked at: ``a-000.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{short(name)}-{index:03d}.png"), image[..., ::-1])


def row(name: str, made: list[Made], base: list[Made]) -> list[str]:
    """One arm's line; ``base`` are the same pictures by the arm it is compared with."""
    clean = sum(one.clean for one in made)
    better = sum(one.clean and not other.clean for one, other in zip(made, base, strict=True))
    worse = sum(other.clean and not one.clean for one, other in zip(made, base, strict=True))
    seconds = [one.cost.seconds for one in made]
    return [
        name, share(clean, len(made)), paired(better, worse), mean(seconds),
        f"{sum(seconds) / clean:.1f}" if clean else "–",
        *(f"{np.mean([getattr(one.cost, part) for one in made]):.1f}" for part in PARTS_OF_COST),
    ]  # fmt: skip


PARTS_OF_COST = ("denoised", "decoded", "detected")
HEADER = (
    "arm", "clean by the judge", "against {}, paired", "seconds per picture", "seconds per clean picture",
    "latents denoised, by step", "latents decoded", "pictures looked at",
)  # fmt: skip


def draw(figures: Mapping[str, list[Made]], path: Path) -> None:
    """Clean rate against cost, one point for each arm, with 95 % intervals; another seed as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6), dpi=110)
    line: list[tuple[float, float]] = []
    for name, made in figures.items():
        clean = sum(one.clean for one in made)
        spread = binomtest(clean, len(made)).proportion_ci(0.95, "wilson")
        x, y = float(np.mean([one.cost.seconds for one in made])), clean / len(made)
        axes.errorbar(x, y, [[y - spread.low], [spread.high - y]], fmt="o", capsize=3, label=name)
        axes.annotate(short(name), (x, y), xytext=(5, 4), textcoords="offset points")
        if name.startswith(("a:", "b:")):
            line.append((x, y))
    axes.plot(*zip(*line, strict=True), color="grey", linewidth=1, zorder=0)
    axes.set(xlabel="seconds per picture", ylabel="share that the judge calls clean", ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


SEEDS_ARMS = {"a: what comes": 1} | {f"b: up to {n} seeds": n for n in range(2, SEEDS_TRIED + 1)}
"""Arms that are read off the same tries; how many each may have."""


class OpenQuestionBench:
    """Runs arms over wishes and examines what they make."""

    def __init__(self) -> None:
        models = load_models()
        self._meter = Meter([models.generator, models.redraws], models.detector)
        engine = models.engine(self._meter.detector)
        self._examiner = Examiner(engine, Judge())
        inspector = models.inspector(own=False, detector=self._meter.detector)
        self.arms = Arms(engine, models.generator, models.redraws, inspector)

    def run(
        self, wanted: Sequence[tuple[Prompt, int]], letters: Sequence[str]
    ) -> Iterator[dict[str, list[tuple[Made, Image]]]]:
        """Finished arms, as they are finished: for each wish what was made."""
        if set(letters) & {"a", "b"}:
            made: dict[str, list[tuple[Made, Image]]] = {name: [] for name in SEEDS_ARMS}
            for wish, seed in tqdm(wanted, desc="a and b: seeds"):
                tries = self._tries(wish.text, seed)
                for name, most in SEEDS_ARMS.items():
                    made[name].append(self._examined(wish.kind, *another_seed(tries, most)))
            yield made
        for name, arm in self.arms.all().items():
            if name[0] in letters:
                yield {name: [self._once(arm, *one) for one in tqdm(wanted, desc=name)]}

    def _tries(self, prompt: str, seed: int) -> list[Try]:
        tries: list[Try] = []
        while len(tries) < SEEDS_TRIED and not (tries and tries[-1].content):
            self._meter.reset()
            started = time.perf_counter()
            image, content = self.arms.plain(prompt, seed + len(tries))
            tries.append(Try(image, content, self._meter.cost(time.perf_counter() - started)))
        return tries

    def _once(self, arm: Arm, wish: Prompt, seed: int) -> tuple[Made, Image]:
        self._meter.reset()
        started = time.perf_counter()
        image = arm(wish.text, seed)
        return self._examined(wish.kind, image, self._meter.cost(time.perf_counter() - started))

    def _examined(self, kind: str, image: Image, cost: Cost) -> tuple[Made, Image]:
        return Made(kind, self._examiner.is_clean(image, kind), cost), image


def read_figures(paths: Sequence[Path]) -> dict[str, list[Made]]:
    """The figures of runs, put together by arm in the arms' order."""
    found = {}
    for path in paths:
        for arm, made in json.loads(path.read_text("utf-8")).items():
            found[arm] = [Made(one["kind"], one["clean"], Cost(**one["cost"])) for one in made]
    return dict(sorted(found.items()))


def report(figures: Mapping[str, list[Made]], out: Path, against: str | None = None) -> None:
    """Prints the table and draws the plot.

    Args:
        figures: by arm.
        out: folder of the plot.
        against: short name of the arm that the others are compared with; the first if None.
    """
    by_short = {short(name): made for name, made in figures.items()}
    against = against or next(iter(by_short))
    header = [cell.format(against) for cell in HEADER]
    print(machine())
    print(table(header, [row(name, made, by_short[against]) for name, made in figures.items()]))
    draw(figures, out / "open_question.png")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--arms", default="abcdefghijkl", help="letters of the arms to run")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of scenes")
    parser.add_argument("--read", type=Path, nargs="+", help="figures of earlier runs to be told together")
    parser.add_argument(
        "--against", help="arm that the others are compared with: b4, say; the first if left out"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the plot, the figures and a sheet"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.read:
        report(read_figures(args.read), args.out, args.against)
        return
    figures, sheet = dict[str, list[Made]](), list[Image]()
    for finished in OpenQuestionBench().run(wishes(args.count, args.kinds), args.arms):
        for name, made in finished.items():
            figures[name] = [one for one, _ in made]
            keep_pictures(name, [image for _, image in made], args.out / "pictures")
            sheet.append(np.hstack([image for _, image in made[:8]]))
        kept = {name: [asdict(one) for one in made] for name, made in figures.items()}
        (args.out / f"open_question_{args.arms}.json").write_text(json.dumps(kept))
        cv2.imwrite(str(args.out / f"open_question_{args.arms}.png"), np.vstack(sheet)[..., ::-1])
    report(figures, args.out, args.against)


if __name__ == "__main__":
    main()
