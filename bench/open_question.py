"""Comparison of inspection with other seeds: ``python -m bench.open_question --count 200 --out DIR``.

All arms get the same prompts and unselected seeds. A picture's cost is its time and its counted work. The
judge, which no arm knows, decides if it is clean. A picture without the wanted hand or body is not clean, or
an arm could win by losing it.
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

from bench.arms import ARMS, Arm, arm_named, arms_named
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

SEEDS_ARMS = {arm: arm.seeds for arm in ARMS if arm.seeds is not None}
"""Arms that share the same tries, with the number of seeds that each may have."""
SEEDS_TRIED = max(SEEDS_ARMS.values())
SEED_STRIDE = 100
"""Between two pictures' first seeds, so that no two share one."""
ONCE = RepairParams(strengths=(0.4,), seeds_per_attempt=1, policy=Policy.EVERY)
MakePicture = Callable[[str, int], Image]


@dataclass(frozen=True, slots=True)
class Made:
    """One picture of one arm: its cost, and whether the judge calls it clean."""

    kind: str
    clean: bool
    cost: Cost


class Arms:
    """Implementations of the arms: each makes a picture from a prompt and a first seed.

    Args:
        engine: generates, inspects and repairs.
        generator: its model, for the arm that uses no engine.
        redraws: the engine's redrawing model, for the arm that uses no ladder.
        inspector: finds parts in any picture, for the same arm.
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

    def all(self) -> dict[str, MakePicture]:
        """Returns all arms but those of ``SEEDS_ARMS``, by id."""
        watched = WatchParams(max_restarts=SEEDS_TRIED - 1)
        in_flight = WatchParams(max_restarts=SEEDS_TRIED - 1, in_flight=True)
        nudging = RepairParams(methods=(Method.REDRAW, Method.NUDGE))
        return {
            "redraw_once": self._redrawn_once,
            "asdff": asdff_arm(self._generator, self._engine),
            "repair": self._requesting(repair=RepairParams()),
            "watch_repair": self._requesting(repair=RepairParams(), watch=watched),
            "repair_in_flight": self._requesting(repair=RepairParams(), watch=in_flight),
            "watch_repair_nudge": self._requesting(repair=nudging, watch=watched),
            "redraw_once_if_better": self._requesting(repair=ONCE),
            "best_of_3_repair": self._requesting(repair=RepairParams(), best_of=3),
            "watch": self._requesting(repair=None, watch=watched),
            "best_of_4": self._requesting(repair=None, best_of=4),
        }

    def _requesting(self, **params: Any) -> MakePicture:
        return lambda prompt, seed: (
            self._engine.generate(GenerateRequest(prompt=prompt, seed=seed, **params))[0].image
        )

    def plain(self, prompt: str, seed: int) -> tuple[Image, bool]:
        """Generates a picture without repair; also returns True if the detector accepts it."""
        report = self._engine.generate(GenerateRequest(prompt=prompt, seed=seed, repair=None))[0]
        return report.image, not report.regions

    def _redrawn_once(self, prompt: str, seed: int) -> Image:
        """Redraws every part once at 0.4 and keeps every result, as the usual detailer does."""
        image, _ = self.plain(prompt, seed)
        return redraw_once(self._redraws, self._inspector, Case(image, "", prompt, seed), ONCE).image


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """One seed's picture, whether the detector accepts it, and its cost."""

    image: Image
    accepted: bool
    cost: Cost


def another_seed(tries: Sequence[Try], most: int) -> tuple[Image, Cost]:
    """Returns the first accepted of at most ``most`` pictures, else the last; and the sum of the costs."""
    taken = next((i for i, one in enumerate(tries[:most]) if one.accepted), min(most, len(tries)) - 1)
    return tries[taken].image, sum_of([one.cost for one in tries[: taken + 1]])


class Examiner:
    """Decides if a picture is clean."""

    def __init__(self, engine: DiffusionEngine, judge: Judge) -> None:
        self._engine, self._judge = engine, judge

    def is_clean(self, image: Image, kind: str) -> bool:
        """Returns True if the wanted body is found and the judge finds none of its parts malformed."""
        found = self._engine.detect(image, FOUND_CONF)
        names = {part_of(self._engine.class_names[i]) for i in found.class_id}
        if not set(WANTED[kind]) <= names:
            return False
        places = parts_of(self._engine, image)
        return max(self._judge.malformed([image] * len(places), places), default=0.0) <= MALFORMED


def requests(count: int, kinds: Sequence[str] = KINDS) -> list[tuple[Prompt, int]]:
    """Returns the first prompts of the bench, the kinds in turn, none left out; each with its first seed."""
    made = []
    for index in range(count):
        kind = kinds[index % len(kinds)]
        made.append((prompts(kind)[index // len(kinds) % 50], 70_000 + SEED_STRIDE * index))
    return made


def keep_pictures(arm: Arm, images: Sequence[Image], folder: Path) -> None:
    """Writes an arm's pictures for ``bench.blind``: ``watch_repair-000.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{arm.id}-{index:03d}.png"), image[..., ::-1])


def row(arm: Arm, made: list[Made], base: list[Made]) -> list[str]:
    """Returns one arm's line; ``base`` are the same requests by the arm with which it is compared."""
    clean = sum(one.clean for one in made)
    better = sum(one.clean and not other.clean for one, other in zip(made, base, strict=True))
    worse = sum(other.clean and not one.clean for one, other in zip(made, base, strict=True))
    seconds = [one.cost.seconds for one in made]
    return [
        arm.label, share(clean, len(made)), paired(better, worse), mean(seconds),
        f"{sum(seconds) / clean:.1f}" if clean else "–",
        *(f"{np.mean([getattr(one.cost, part) for one in made]):.1f}" for part in PARTS_OF_COST),
    ]  # fmt: skip


PARTS_OF_COST = ("denoised", "decoded", "detected")
HEADER = (
    "arm", "clean by the judge", "against {}, paired", "seconds per picture", "seconds per clean picture",
    "latents denoised, by step", "latents decoded", "pictures inspected",
)  # fmt: skip


def draw(figures: Mapping[Arm, list[Made]], path: Path) -> None:
    """Plots clean rate against cost with 95 % intervals; the arms of ``SEEDS_ARMS`` are joined by a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6), dpi=110)
    line: list[tuple[float, float]] = []
    for arm, made in figures.items():
        clean = sum(one.clean for one in made)
        spread = binomtest(clean, len(made)).proportion_ci(0.95, "wilson")
        x, y = float(np.mean([one.cost.seconds for one in made])), clean / len(made)
        axes.errorbar(x, y, [[y - spread.low], [spread.high - y]], fmt="o", capsize=3, label=arm.label)
        axes.annotate(arm.short, (x, y), xytext=(5, 4), textcoords="offset points")
        if arm in SEEDS_ARMS:
            line.append((x, y))
    axes.plot(*zip(*line, strict=True), color="grey", linewidth=1, zorder=0)
    axes.set(xlabel="seconds per picture", ylabel="share that the judge calls clean", ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


class OpenQuestionBench:
    """Runs arms over requests and examines their pictures."""

    def __init__(self) -> None:
        models = load_models()
        self._meter = Meter([models.generator, models.redraws], models.detector)
        engine = models.engine(self._meter.detector)
        self._examiner = Examiner(engine, Judge())
        inspector = models.inspector(own=False, detector=self._meter.detector)
        self.arms = Arms(engine, models.generator, models.redraws, inspector)

    def run(
        self, wanted: Sequence[tuple[Prompt, int]], arms: Sequence[Arm]
    ) -> Iterator[dict[Arm, list[tuple[Made, Image]]]]:
        """Yields finished arms as soon as they are finished: one picture for each request."""
        chosen = [arm for arm in arms if arm in SEEDS_ARMS]
        if chosen:
            made: dict[Arm, list[tuple[Made, Image]]] = {arm: [] for arm in chosen}
            for prompt, seed in tqdm(wanted, desc="a and b: seeds"):
                tries = self._tries(prompt.text, seed)
                for arm in chosen:
                    made[arm].append(self._examined(prompt.kind, *another_seed(tries, SEEDS_ARMS[arm])))
            yield made
        makers = self.arms.all()
        for arm in arms:
            if arm not in SEEDS_ARMS:
                yield {arm: [self._once(makers[arm.id], *one) for one in tqdm(wanted, desc=arm.label)]}

    def _tries(self, prompt: str, seed: int) -> list[Try]:
        tries: list[Try] = []
        while len(tries) < SEEDS_TRIED and not (tries and tries[-1].accepted):
            self._meter.reset()
            started = time.perf_counter()
            image, accepted = self.arms.plain(prompt, seed + len(tries))
            tries.append(Try(image, accepted, self._meter.cost(time.perf_counter() - started)))
        return tries

    def _once(self, make: MakePicture, prompt: Prompt, seed: int) -> tuple[Made, Image]:
        self._meter.reset()
        started = time.perf_counter()
        image = make(prompt.text, seed)
        return self._examined(prompt.kind, image, self._meter.cost(time.perf_counter() - started))

    def _examined(self, kind: str, image: Image, cost: Cost) -> tuple[Made, Image]:
        return Made(kind, self._examiner.is_clean(image, kind), cost), image


def read_figures(paths: Sequence[Path]) -> dict[Arm, list[Made]]:
    """Reads the figures of several runs; the arms come in the order of ``ARMS``."""
    found: dict[Arm, list[Made]] = {}
    for path in paths:
        for name, made in json.loads(path.read_text("utf-8")).items():
            found[arm_named(name)] = [Made(one["kind"], one["clean"], Cost(**one["cost"])) for one in made]
    return {arm: found[arm] for arm in ARMS if arm in found}


def report(figures: Mapping[Arm, list[Made]], out: Path, against: Arm | None = None) -> None:
    """Prints the table and draws the plot.

    Args:
        figures: by arm.
        out: folder of the plot.
        against: the arm with which the others are compared; the first if None.
    """
    base = against or next(iter(figures))
    header = [cell.format(base.short) for cell in HEADER]
    print(machine())
    print(table(header, [row(arm, made, figures[base]) for arm, made in figures.items()]))
    draw(figures, out / "open_question.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument(
        "--arms",
        type=arms_named,
        nargs="+",
        default=[list(ARMS)],
        help="ids, short names or letters: watch_repair, b4, abd; all if left out",
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of scenes")
    parser.add_argument("--read", type=Path, nargs="+", help="figures of earlier runs, for one common table")
    parser.add_argument(
        "--against",
        type=arm_named,
        help="arm with which the others are compared, seeds_4 or b4, say; the first if left out",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the plot, the figures and a sheet"
    )
    return parser.parse_args()


def main() -> None:
    """The command line."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.read:
        report(read_figures(args.read), args.out, args.against)
        return
    named = {arm for arms in args.arms for arm in arms}
    arms = [arm for arm in ARMS if arm in named]
    stem = args.out / f"open_question_{'-'.join(arm.short for arm in arms)}"
    figures, sheet = dict[Arm, list[Made]](), list[Image]()
    for finished in OpenQuestionBench().run(requests(args.count, args.kinds), arms):
        for arm, made in finished.items():
            figures[arm] = [one for one, _ in made]
            keep_pictures(arm, [image for _, image in made], args.out / "pictures")
            sheet.append(np.hstack([image for _, image in made[:8]]))
        kept = {arm.id: [asdict(one) for one in made] for arm, made in figures.items()}
        stem.with_suffix(".json").write_text(json.dumps(kept))
        cv2.imwrite(str(stem.with_suffix(".png")), np.vstack(sheet)[..., ::-1])
    report(figures, args.out, args.against)


if __name__ == "__main__":
    main()
