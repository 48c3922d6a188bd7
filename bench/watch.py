"""Cost and accuracy of the watch: ``python -m bench.watch --count 200``.

Unselected runs, of other seeds than the thresholds were fitted on, are watched to their end and made again
unwatched. The tables have the seconds that the looks add, the runs that the watch would have stopped, rightly
and wrongly, and the share of the denoiser's work that this would have saved. Two models decide if a finished
picture is malformed: the service's own detector, which the watch imitates, and the judge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import wilcoxon
from tqdm import tqdm

from bench.cases import MALFORMED, parts_of
from bench.eyes import area
from bench.intervals import machine, mean, share, table
from bench.judge import Judge
from bench.models import load_models
from bench.open_question import requests
from detectors.detections import Image
from service.core.params import RepairParams, WatchParams
from service.diffusion.model import DiffusionModel
from service.generation.abort_rules import Look, PreviewThresholds, decide
from service.generation.watch_hook import WatchHook
from service.generation.watched_run import RunWatcher

FIRST_SEED = 3_000_000
"""Far from the seeds of the fit and of the open question."""


@dataclass(frozen=True, slots=True)
class WatchedPicture:
    """One run: the looks into it, how it ended, and its seconds with and without them."""

    looks: tuple[Look, ...]
    malformed: bool
    judged_malformed: bool
    watched_s: float
    plain_s: float


def stopped_at(run: WatchedPicture, thresholds: PreviewThresholds) -> float | None:
    """The fraction at which the watch would have ended it; None if it would not."""
    for count in range(1, len(run.looks) + 1):
        reason = decide(run.looks[:count], thresholds)
        if reason is not None:
            return reason.fraction
    return None


class WatchBench:
    """The service's models, and the judge."""

    def __init__(self) -> None:
        models = load_models()
        self.model, self.detector = models.generator, models.detector
        self.engine = models.engine()
        self.inspector = models.inspector(own=True)
        watcher = RunWatcher.of(self.model, self.detector, models.preview_thresholds, WatchParams())
        self.thresholds, self.origin = watcher.thresholds, watcher.origin
        self.judge = Judge()

    def run(self, prompt: str, seed: int) -> WatchedPicture:
        """One picture, with the looks and without."""
        defaults = self.model.defaults
        size_hw = defaults.height, defaults.width
        preview = self.model.preview()
        looks_at = self.thresholds.fractions
        watch = WatchHook(preview, self.detector, self.thresholds, size_hw, fractions=looks_at, stop=False)
        _, watched_s = _timed(self.model, prompt, seed, [watch])
        image, plain_s = _timed(self.model, prompt, seed, [])
        malformed = bool(self.inspector.inspect(image, RepairParams()).plan.regions)
        places = parts_of(self.engine, image)
        worst = max(self.judge.malformed([image] * len(places), places), default=0.0)
        return WatchedPicture(tuple(watch.looks), malformed, worst > MALFORMED, watched_s, plain_s)


def _timed(model: DiffusionModel, prompt: str, seed: int, hooks: Sequence[Any]) -> tuple[Image, float]:
    start = time.perf_counter()
    image = model.generate_plainly(prompt, seed, hooks)
    return image, time.perf_counter() - start


def rows_by_fraction(runs: Sequence[WatchedPicture], thresholds: PreviewThresholds) -> list[list[str]]:
    """A line for each fraction: what would have been stopped there or before."""
    stops = [stopped_at(run, thresholds) for run in runs]
    rows = []
    for fraction in sorted(thresholds.limits):
        ended = np.array([stop is not None and stop <= fraction for stop in stops])
        saved = float(np.mean([1 - stop if stop is not None and stop <= fraction else 0.0 for stop in stops]))
        cells = [f"{fraction:g}", share(int(ended.sum()), len(runs))]
        for bad in (
            np.array([run.malformed for run in runs]),
            np.array([run.judged_malformed for run in runs]),
        ):
            cells.append(share(int((ended & bad).sum()), int(bad.sum())))
            cells.append(share(int((ended & ~bad).sum()), int((~bad).sum())))
        rows.append([*cells, f"{saved:.1%}"])
    return rows


def row_of_first_look(name: str, runs: Sequence[WatchedPicture], bad: Sequence[bool]) -> list[str]:
    """Returns a line on how well the first look alone separates good and bad ends, at ``FALSE_STOPS``.

    The score is the sum over all malformed parts. The limit is taken from these very runs, so that the share
    holds exactly; the watch's own limits are those of the other table.
    """
    is_bad = np.array(bad)
    scores = np.array([sum(seen.conf for seen in run.looks[0].defects) for run in runs])
    limit = np.quantile(scores[~is_bad], 1 - FALSE_STOPS, method="higher")
    stopped = scores > limit
    saved = float(stopped.mean()) * (1 - runs[0].looks[0].fraction)
    return [
        name, f"{area(is_bad, scores):.2f}", share(int((stopped & ~is_bad).sum()), int((~is_bad).sum())),
        share(int((stopped & is_bad).sum()), int(is_bad.sum())), f"{saved:.1%}",
    ]  # fmt: skip


FALSE_STOPS = 0.05
FIRST_HEADER = (
    "a bad end is decided by",
    "AUC",
    "good ends stopped",
    "bad ends stopped",
    "of the denoiser's steps saved",
)
HEADER = (
    "until", "runs stopped", "malformed by detector and critic, stopped", "clean by them, stopped",
    "malformed by the judge, stopped", "clean by the judge, stopped", "of the denoiser's steps saved",
)  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    args = parser.parse_args()
    bench = WatchBench()
    runs = [bench.run(prompt.text, FIRST_SEED + seed) for prompt, seed in tqdm(requests(args.count))]
    added = [run.watched_s - run.plain_s for run in runs]
    plain = float(np.mean([run.plain_s for run in runs]))
    print(machine())
    kind = bench.model.preview().kind
    print(f"thresholds {bench.origin.value}, preview {kind}")
    share_added = f"{np.median(added) / plain:.1%} in the median (p = {wilcoxon(added).pvalue:.3f})"
    print(f"a run takes {plain:.2f} s; the looks add {mean(added)} s, {share_added}")
    print(table(HEADER, rows_by_fraction(runs, bench.thresholds)))
    print(f"the first look alone, with at most {FALSE_STOPS:.0%} of the good ends stopped:")
    own = row_of_first_look("detector and critic", runs, [run.malformed for run in runs])
    judge = row_of_first_look("judge", runs, [run.judged_malformed for run in runs])
    print(table(FIRST_HEADER, [own, judge]))


if __name__ == "__main__":
    main()
