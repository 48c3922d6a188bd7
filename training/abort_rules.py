"""Fits the watch's thresholds to runs whose end is known. Offline; no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from service.generation.abort_rules import Limit, Look, PreviewThresholds, decide

LEAST_HIT = 0.05
FAR_RARER = 5.0
RATES = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, 0.0)


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run that was watched to its end, for fitting: its looks, and whether it ended malformed."""

    looks: tuple[Look, ...]
    malformed: bool


def fit_thresholds(
    runs: Iterable[WatchedRun],
    most_false_aborts: float = 0.05,
    detector: str = "",
    preview: str = "",
    generator: str = "",
) -> PreviewThresholds:
    """The loosest thresholds with which few of the runs that ended well would have been stopped.

    For a rate r, ``hit`` is the sum of scores that a share r of the good runs reaches at that fraction, and
    ``far`` the one that r / 5 reach; the largest r is taken with which ``decide`` stops at most the wanted
    share.

    Args:
        runs: watched to their end, all with the same fractions.
        most_false_aborts: share of the runs that ended well that may be stopped, in [0, 1].
        detector: id, to be stored.
        preview: kind, to be stored.
        generator: id, to be stored.

    Raises:
        ValueError: if no run ended well.
    """
    seen = list(runs)
    good = [run for run in seen if not run.malformed]
    if not good:
        raise ValueError("thresholds need runs that ended well")
    fractions = sorted({look.fraction for run in seen for look in run.looks})
    names = sorted({s.class_name for run in seen for look in run.looks for s in look.defects})
    for rate in RATES:
        limits = {f: {name: _limit(good, f, name, rate) for name in names} for f in fractions}
        thresholds = PreviewThresholds(limits=limits, detector=detector, preview=preview, generator=generator)
        if stopped_share(good, thresholds) <= most_false_aborts:
            break
    return thresholds


def stopped_share(runs: Sequence[WatchedRun], thresholds: PreviewThresholds) -> float:
    """Share of the runs that would have been stopped, in [0, 1]; 0 if there is none."""
    stopped = [
        any(decide(run.looks[: i + 1], thresholds) is not None for i in range(len(run.looks))) for run in runs
    ]
    return float(np.mean(stopped)) if stopped else 0.0


def _limit(good: Sequence[WatchedRun], fraction: float, name: str, rate: float) -> Limit:
    sums = [look.expected(name) for run in good for look in run.looks if look.fraction == fraction]
    hit, far = (_exceeded_by(sums, share) for share in (rate, rate / FAR_RARER))
    return Limit(hit, max(hit, far))


def _exceeded_by(scores: Sequence[float], share: float) -> float:
    """The least score that at most this share of ``scores`` reaches."""
    falling = sorted(scores, reverse=True)
    allowed = math.floor(share * len(falling))
    if allowed >= len(falling):
        return LEAST_HIT
    return max(LEAST_HIT, float(np.nextafter(falling[allowed], np.inf)))
