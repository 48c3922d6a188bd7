"""Accuracy of detector, critic and judge on generated pictures that were labelled by eye.

``python -m bench.eyes``. The pictures lie in ``bench/eyes``: unselected seeds of the bundled generator,
labelled (``training.bank``) by someone who knew no score; no training and no threshold saw them. Renders with
known defects measure knowledge of anatomy; these measure knowledge of a generator's mistakes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bench.cases import MALFORMED
from bench.intervals import machine, share, table
from bench.judge import Judge, Place
from bench.models import load_models
from training.labelled import Seen, by_both, by_critic, by_detector, read_labelled

EYES_DIR = Path(__file__).parent / "eyes"


def by_judge(judge: Judge, seen: Sequence[Seen]) -> list[float]:
    """The judge's."""
    return judge.malformed([one.image for one in seen], [Place(one.part, one.xyxy) for one in seen])


def area(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the curve: how often a malformed part has the higher score (Mann and Whitney 1947)."""
    bad, good = scores[truth], scores[~truth]
    return float(mannwhitneyu(bad, good).statistic) / (len(bad) * len(good))


def auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> str:
    """Area under the curve with its 95 % bootstrap interval (percentiles of 2,000 resamples)."""
    rng, draws = np.random.default_rng(0), list[float]()
    while len(draws) < 2000:
        rows = rng.integers(len(truth), size=len(truth))
        if 0 < truth[rows].sum() < len(rows):
            draws.append(area(truth[rows], scores[rows]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{area(truth, scores):.2f} [{low:.2f}, {high:.2f}]"


def row(
    name: str,
    part: str,
    seen: Sequence[Seen],
    scores: Sequence[float] | NDArray[np.float32],
    threshold: float,
) -> list[str]:
    """One model's line for one part."""
    rows = [i for i, one in enumerate(seen) if one.part == part]
    truth = np.array([seen[i].malformed for i in rows], bool)
    mine = np.array([scores[i] for i in rows])
    over = mine >= threshold
    return [
        name, part, auc(truth, mine), f"{threshold:.2f}", share(int(over[truth].sum()), int(truth.sum())),
        share(int(over[~truth].sum()), int((~truth).sum())),
    ]  # fmt: skip


HEADER = (
    "model",
    "part",
    "AUC",
    "threshold",
    "malformed ones called so",
    "well-formed ones called malformed",
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eyes", type=Path, default=EYES_DIR, help="another folder of labelled pictures")
    args = parser.parse_args()
    models, seen = load_models(), read_labelled(args.eyes)
    calibration, own = models.inspector(own=True).calibration, models.generator_calibration
    detected = by_detector(models.detector, seen)
    limits = models.detector.default_conf if own is None else own.conf
    asked = None if models.critic is None else by_critic(models.critic, seen)
    judged = by_judge(Judge(), seen)
    rows = []
    for part in sorted({one.part for one in seen}):
        rows.append(row("detector", part, seen, detected[:, 0], limits[f"malformed_{part}"]))
        if models.critic is not None and asked is not None:
            rows.append(row("critic", part, seen, asked, models.critic.threshold))
            if calibration.fusion is not None:
                fused = by_both(calibration.fusion, seen, detected, asked)
                rows.append(row("both, fused", part, seen, fused, calibration.conf[f"malformed_{part}"]))
        rows.append(row("judge", part, seen, judged, MALFORMED))
    print(machine())
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
