"""Does the repair help? ``python -m bench.repair --generated 300 --rendered 200 --test DIR/test --out DIR``.

Unselected generated pictures and held-out renders with known defects go through the service's loop and
through the control, "redraw once at 0.4 and accept always". What is malformed before and after is the judge's
word: it has another architecture, was trained on other data, and no part of the service knows it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from bench.cases import MALFORMED, Case, generated, inspector_of, parts_of, place_of, rendered, serve
from bench.intervals import machine, mean, share, table
from bench.judge import Judge
from bench.models import load_models
from bench.pairs import pairs_sheet
from service.core.params import RepairParams
from service.core.report import Outcome, RepairReport
from service.diffusion.model import DiffusionModel
from service.engine.engine import DiffusionEngine
from service.images.report_sheet import repair_sheet
from service.repair.inspection import Inspector
from service.repair.ladder import Ladder
from service.repair.methods.redraw import redraw_only
from service.repair.prompts import Prompts
from training.redrawn import AcceptAlways

PAIRS = 48
"""On the sheet to be counted by eye: the first ones in which something was to be repaired."""
CONTROL = RepairParams(strengths=(0.4,), seeds_per_attempt=1)


@dataclass(slots=True)
class Tally:
    """Counts over all cases of one arm."""

    pictures: int = 0
    malformed_before: int = 0
    malformed_after: int = 0
    bad_regions: int = 0
    fixed: int = 0
    fixed_or_kept: int = 0
    declared_fixed: int = 0
    declared_wrongly: int = 0
    sound_regions: int = 0
    harmed: int = 0
    abstained: int = 0
    regions: int = 0
    pixels_outside: int = 0
    seconds: list[float] = field(default_factory=list)

    def row(self, name: str) -> list[str]:
        """The cells of this arm's line."""
        return [
            name, str(self.pictures), share(self.malformed_before, self.pictures),
            share(self.malformed_after, self.pictures), share(self.fixed, self.bad_regions),
            share(self.fixed_or_kept, self.bad_regions),
            share(self.harmed, self.sound_regions), share(self.abstained, self.regions),
            share(self.declared_wrongly, self.declared_fixed), str(self.pixels_outside), mean(self.seconds),
        ]  # fmt: skip


HEADER = ("arm", "pictures", "malformed before", "malformed after", "malformed regions fixed",
          "fixed or kept as they were",
          "well-formed regions harmed", "regions kept as they were", "called fixed, judge disagrees",
          "pixels changed outside the masks", "seconds per picture")  # fmt: skip


@dataclass(slots=True)
class RungTally:
    """Counts for one strength of one method, over all regions on which it was tried."""

    regions: int = 0
    accepted: int = 0
    well_formed: int = 0
    steps: float = 0.0

    def row(self, method: str, strength: float) -> list[str]:
        """The cells of its line; the price of a success is in candidates drawn from pure noise."""
        price = f"{self.steps / self.well_formed:.1f}" if self.well_formed else "–"
        return [
            method, f"{strength:g}", share(self.accepted, self.regions),
            share(self.well_formed, self.accepted), price,
        ]  # fmt: skip


RUNG_HEADER = ("drawn by", "strength", "accepted, of the regions it was tried on",
               "of these well-formed by the judge", "full candidates drawn for one of them")  # fmt: skip


def redraw_once(
    redraws: DiffusionModel,
    inspector: Inspector,
    case: Case,
    params: RepairParams = CONTROL,
) -> RepairReport:
    """The control: every region redrawn once at 0.4, whatever comes of it.

    Args:
        redraws: what redraws.
        inspector: finds.
        case: the picture.
        params: how to redraw.
    """
    look = inspector.inspect(case.image, params)
    gate = AcceptAlways(inspector.detector, None, look.thresholds)
    made = Ladder(
        methods=redraw_only(redraws), native_px=redraws.native_px, gate=gate, prompts=Prompts(case.prompt)
    ).repair(case.image, look.plan, case.seed)
    return RepairReport(
        image=made.image,
        original=case.image,
        seed=case.seed,
        outcome=Outcome.REPAIRED,
        regions=made.outcomes,
        models={},
        timings_s={},
    )


class RepairBench:
    """One engine, one judge, and the same cases for each arm."""

    def __init__(self, engine: DiffusionEngine, judge: Judge) -> None:
        self.engine, self.judge = engine, judge
        self.rungs: dict[tuple[str, float], RungTally] = {}

    def climbed(self, report: RepairReport) -> None:
        """Notes on which rung each region's way ended."""
        for outcome in report.regions:
            for attempt in outcome.attempts:
                rung = self.rungs.setdefault((attempt.method, attempt.strength), RungTally())
                rung.steps += attempt.strength
            for key in {(attempt.method, attempt.strength) for attempt in outcome.attempts}:
                self.rungs[key].regions += 1
            if outcome.accepted:
                last = outcome.attempts[-1]
                rung = self.rungs[last.method, last.strength]
                rung.accepted += 1
                rung.well_formed += (
                    self.judge.malformed([report.image], [place_of(outcome.region)])[0] <= MALFORMED
                )

    def tally(self, case: Case, report: RepairReport, seconds: float, into: Tally) -> None:
        """Adds one finished picture."""
        places = [case.known] if case.known is not None else parts_of(self.engine, case.image)
        places += [place_of(r.region) for r in report.regions if case.known is None]
        before = self.judge.malformed([report.original] * len(places), places)
        after = self.judge.malformed([report.image] * len(places), places)
        into.pictures += 1
        into.seconds.append(seconds)
        into.malformed_before += max(before, default=0) > MALFORMED
        into.malformed_after += max(after, default=0) > MALFORMED
        self._regions(report, into)
        for was, now in zip(before, after, strict=True):
            if was <= MALFORMED:
                into.sound_regions += 1
                into.harmed += now > MALFORMED
        into.pixels_outside += changed_outside(report)

    def _regions(self, report: RepairReport, into: Tally) -> None:
        for outcome in report.regions:
            was, now = self.judge.malformed([report.original, report.image], [place_of(outcome.region)] * 2)
            into.regions += 1
            into.abstained += not outcome.accepted
            into.bad_regions += was > MALFORMED
            into.fixed += was > MALFORMED >= now
            into.fixed_or_kept += was > MALFORMED and (now <= MALFORMED or not outcome.accepted)
            into.declared_fixed += outcome.accepted
            into.declared_wrongly += outcome.accepted and now > MALFORMED


def changed_outside(report: RepairReport) -> int:
    """Returns the number of pixels that differ outside all accepted masks."""
    touched = np.zeros(report.image.shape[:2], bool)
    for outcome in report.regions:
        if outcome.accepted:
            touched |= outcome.region.composite_mask > 0
    return int((report.image != report.original).any(axis=2)[~touched].sum())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generated", type=int, default=300)
    parser.add_argument("--rendered", type=int, default=200)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for sheets and figures")
    parser.add_argument("--seed", type=int, default=20_000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    models = load_models()
    engine = models.engine()
    bench = RepairBench(engine, Judge())
    arms: dict[str, Callable[[Case], RepairReport]] = {
        "repair": lambda case: serve(engine, case),
        "control": lambda case: redraw_once(models.redraws, inspector_of(models, case), case),
    }
    rows, figures = [], {}
    for source, cases in (
        ("generated", generated(engine, args.generated, args.seed)),
        ("rendered", rendered(args.test, args.rendered)),
    ):
        for arm, run in arms.items():
            tally, pairs = Tally(), list[RepairReport]()
            for index, case in enumerate(tqdm(cases, desc=f"{source}, {arm}")):
                start = time.perf_counter()
                report = run(case)
                seconds = time.perf_counter() - start - report.timings_s.get("generate", 0.0)
                bench.tally(case, report, seconds, tally)
                if arm == "repair" and report.regions:
                    bench.climbed(report)
                    pairs.append(report)
                    name = f"{source}-{index:03d}-{case.kind}-{report.outcome}.png"
                    cv2.imwrite(str(args.out / name), repair_sheet([report])[..., ::-1])
            if pairs:
                cv2.imwrite(str(args.out / f"pairs-{source}.png"), pairs_sheet(pairs[:PAIRS])[..., ::-1])
            rows.append(tally.row(f"{source}, {arm}"))
            figures[f"{source}-{arm}"] = {k: getattr(tally, k) for k in tally.__slots__}
            (args.out / "figures.json").write_text(json.dumps(figures, indent=2))
    print(machine())
    print(table(HEADER, rows))
    print(table(RUNG_HEADER, [tally.row(*key) for key, tally in sorted(bench.rungs.items())]))


if __name__ == "__main__":
    main()
