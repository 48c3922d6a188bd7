"""Does looking save time against another seed? ``python -m bench.open_question --count 200 --out DIR``.

The same prompts and unselected seeds go through every arm. What a picture costs is counted in seconds and in
arithmetic; whether it is clean is the judge's word, which no arm knows. A picture in which the wanted hand or
body is not to be found is not clean, or an arm could win by losing it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from bench.asdff_arm import asdff_arm
from bench.generator import FOUND_CONF, KINDS, WANTED
from bench.intervals import machine, mean, share, table
from bench.judge import Judge
from bench.meter import Cost, Meter
from bench.models import load_models
from bench.prompts import Prompt, prompts
from bench.repair import MALFORMED, Case, parts_of, redraw_once
from detectors.detections import Image
from detectors.protocols import Detector, part_of
from service.diffusion.sampler import DiffusionModel
from service.engine import Engine
from service.params import Method, Policy, RepairParams
from service.report import GenerateRequest
from service.runs import WatchParams

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
        generator: its model, for the arms that use no engine.
        detector: its detector, for the same.
    """

    def __init__(self, engine: Engine, generator: DiffusionModel, detector: Detector) -> None:
        self._engine, self._generator, self._detector = engine, generator, detector

    def all(self) -> dict[str, Arm]:
        """Every arm by its name."""
        watched = WatchParams(max_restarts=SEEDS_TRIED - 1)
        in_flight = WatchParams(max_restarts=SEEDS_TRIED - 1, in_flight=True)
        nudging = RepairParams(methods=(Method.REDRAW, Method.NUDGE))
        return {
            "a: what comes": self._asking(repair=None),
            **{f"b: up to {n} seeds": self._until_content(n) for n in range(2, SEEDS_TRIED + 1)},
            "c: every hand and limb redrawn once": self._redrawn_once,
            "d: asdff": asdff_arm(self._generator, self._engine),
            "e: repair at the end": self._asking(repair=RepairParams()),
            "f: watch and abort, then repair": self._asking(repair=RepairParams(), watch=watched),
            "g: repair in flight, then at the end": self._asking(repair=RepairParams(), watch=in_flight),
            "h: as f, with nudging": self._asking(repair=nudging, watch=watched),
        }

    def _asking(self, **wishes: Any) -> Arm:
        return lambda prompt, seed: (
            self._engine.generate(GenerateRequest(prompt, seed=seed, **wishes))[0].image
        )

    def _until_content(self, most: int) -> Arm:
        """Another seed until the detector has nothing to say, or the last one."""

        def run(prompt: str, seed: int) -> Image:
            for number in range(most):
                report = self._engine.generate(GenerateRequest(prompt, seed=seed + number, repair=None))[0]
                if not report.regions:
                    break
            return report.image

        return run

    def _redrawn_once(self, prompt: str, seed: int) -> Image:
        """As the usual detailer does: every part once at 0.4, and whatever comes of it stays."""
        image = self._engine.generate(GenerateRequest(prompt, seed=seed, repair=None))[0].image
        return redraw_once(self._generator, self._detector, Case(image, "", prompt, seed), ONCE).image


class Examiner:
    """Says whether a picture is clean."""

    def __init__(self, engine: Engine, judge: Judge) -> None:
        self._engine, self._judge = engine, judge

    def is_clean(self, image: Image, kind: str) -> bool:
        """Whether what was wanted is there and the judge finds none of its parts malformed."""
        found = self._engine.detect(image, FOUND_CONF)
        names = {part_of(self._engine.class_names[i]) for i in found.class_id}
        if not set(WANTED[kind]) <= names:
            return False
        places = parts_of(self._engine, image)
        return max(self._judge.malformed([image] * len(places), places), default=0.0) <= MALFORMED


def wishes(count: int) -> list[tuple[Prompt, int]]:
    """Prompts of all kinds in turn, each with its first seed; the first of the bench, none left out."""
    made = []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        made.append((prompts(kind)[index // len(KINDS) % 50], 70_000 + SEED_STRIDE * index))
    return made


def row(name: str, made: list[Made], base: list[Made]) -> list[str]:
    """One arm's line; ``base`` are the same pictures by the arm it is compared with."""
    clean = sum(one.clean for one in made)
    better = sum(one.clean and not other.clean for one, other in zip(made, base, strict=True))
    worse = sum(other.clean and not one.clean for one, other in zip(made, base, strict=True))
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    seconds = [one.cost.seconds for one in made]
    return [
        name, share(clean, len(made)), f"+{better} −{worse}, p = {p:.2f}", mean(seconds),
        f"{sum(seconds) / clean:.1f}" if clean else "–",
        *(f"{np.mean([getattr(one.cost, part) for one in made]):.1f}" for part in PARTS_OF_COST),
    ]  # fmt: skip


PARTS_OF_COST = ("denoised", "decoded", "detected")
HEADER = (
    "arm", "clean by the judge", "against a, paired", "seconds per picture", "seconds per clean picture",
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
        if name.startswith(("a:", "b:")):
            line.append((x, y))
    axes.plot(*zip(*line, strict=True), color="grey", linewidth=1, zorder=0)
    axes.set(xlabel="seconds per picture", ylabel="share that the judge calls clean", ylim=(0, 1))
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--arms", nargs="+", help="letters of the arms to run; all if left out")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the plot, the figures and a sheet"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    models = load_models()
    generator = models.generator
    meter = Meter(generator, models.detector)
    engine = Engine(generator, meter.detector, models.critic)
    examiner, figures = Examiner(engine, Judge()), dict[str, list[Made]]()
    sheet: dict[str, list[Image]] = {}
    for name, arm in Arms(engine, generator, meter.detector).all().items():
        if args.arms and name[0] not in args.arms:
            continue
        figures[name], sheet[name] = [], []
        for wish, seed in tqdm(wishes(args.count), desc=name):
            meter.reset()
            started = time.perf_counter()
            image = arm(wish.text, seed)
            cost = meter.cost(time.perf_counter() - started)
            figures[name].append(Made(wish.kind, examiner.is_clean(image, wish.kind), cost))
            sheet[name].append(image)
        kept = {arm: [asdict(one) for one in made] for arm, made in figures.items()}
        (args.out / "open_question.json").write_text(json.dumps(kept))
        rows = [np.hstack(pictures[:8]) for pictures in sheet.values()]
        cv2.imwrite(str(args.out / "open_question_sheet.png"), np.vstack(rows)[..., ::-1])
    base = next(iter(figures.values()))
    print(machine())
    print(table(HEADER, [row(name, made, base) for name, made in figures.items()]))
    draw(figures, args.out / "open_question.png")


if __name__ == "__main__":
    main()
