"""Comparison of repair masks: ``python -m bench.masks --test DIR/test --rendered 40 --generated 80``.

The same pictures, generated and rendered ones, are repaired with different masks: the box grown and
feathered more or less, or the heat map of the detector's score. The judge decides what is malformed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench.cases import Case, generated, rendered, serve
from bench.intervals import machine, mean, share, table
from bench.judge import Judge
from bench.models import load_models
from bench.repair import RepairBench, Tally
from service.core.params import MaskSource, RepairParams
from service.core.report import RepairReport

FIRST_SEED = 4_000_000
PLAIN = RepairParams()
WAYS = {
    f"the box grown by {PLAIN.grow:g}, feather {PLAIN.feather_px} px": PLAIN,
    "the box itself": replace(PLAIN, grow=0.0),
    "the box grown by 0.25": replace(PLAIN, grow=0.25),
    "feather 1 px": replace(PLAIN, feather_px=1),
    "feather 16 px": replace(PLAIN, feather_px=16),
    "the heat map in the box": replace(PLAIN, mask_source=MaskSource.HEATMAP),
}
HEADER = (
    "mask", "of the picture, mean", "malformed regions fixed", "well-formed parts harmed", "regions kept",
    "seam of what was accepted", "pixels changed outside", "seconds per picture",
)  # fmt: skip


def row(name: str, tally: Tally, reports: Sequence[RepairReport]) -> list[str]:
    """One way's line."""
    outcomes = [outcome for report in reports for outcome in report.regions]
    areas = [float((outcome.region.composite_mask > 0).mean()) for outcome in outcomes]
    seams = [outcome.attempts[-1].seam for outcome in outcomes if outcome.accepted]
    return [
        name, f"{np.mean(areas):.1%}", share(tally.fixed, tally.bad_regions),
        share(tally.harmed, tally.sound_regions), share(tally.abstained, tally.regions), mean(seams),
        str(tally.pixels_outside), mean(tally.seconds),
    ]  # fmt: skip


def run(bench: RepairBench, cases: Sequence[Case], params: RepairParams) -> tuple[Tally, list[RepairReport]]:
    """One way over all cases; reports only of those in which something was found."""
    tally, reports = Tally(), list[RepairReport]()
    for case in tqdm(cases):
        start = time.perf_counter()
        report = serve(bench.engine, case, params)
        seconds = time.perf_counter() - start - report.timings_s.get("generate", 0.0)
        bench.tally(case, report, seconds, tally)
        if report.regions:
            reports.append(report)
    return tally, reports


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--generated", type=int, default=80)
    parser.add_argument("--rendered", type=int, default=40)
    args = parser.parse_args()
    models = load_models()
    bench = RepairBench(models.engine(), Judge())
    cases = generated(bench.engine, args.generated, FIRST_SEED) + rendered(args.test, args.rendered)
    rows = [row(name, *run(bench, cases, params)) for name, params in WAYS.items()]
    print(machine())
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
