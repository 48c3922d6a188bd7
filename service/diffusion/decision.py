"""When a run is hopeless: decided from what a detector saw in its previews. No torch; plain records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from detectors.boxes import area, iou
from detectors.protocols import is_malformed
from service.errors import ModelUnavailable

FRACTIONS = (0.3, 0.5, 0.7)
THRESHOLDS_FILE = "previews.json"
MOST_LOCAL_SHARE = 0.25
LEAST_HIT = 0.05
FAR_RARER = 5.0
RATES = (0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01, 0.0)


class Rule(StrEnum):
    """What made a run hopeless."""

    FAR_OVER = "far_over"
    TWICE = "seen_twice"


@dataclass(frozen=True, slots=True)
class Limit:
    """Scores in a preview from which a defect counts. Above 1 means never.

    Attributes:
        hit: must be reached in two looks running.
        far: enough by itself; not below ``hit``.
    """

    hit: float
    far: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.hit <= self.far:
            raise ValueError(f"0 <= hit <= far, not {self.hit} and {self.far}")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A malformed part in one preview.

    Attributes:
        class_name: of the detector.
        conf: in [0, 1].
        xyxy: in pixels of the finished picture.
    """

    class_name: str
    conf: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment of a run.

    Attributes:
        index: the step's.
        fraction: the calibrated fraction of the run that this look stands for.
        sightings: malformed parts, most confident first.
    """

    index: int
    fraction: float
    sightings: tuple[Sighting, ...] = ()


@dataclass(frozen=True, slots=True)
class AbortReason:
    """Why a run was stopped, for the report."""

    rule: Rule
    index: int
    fraction: float
    sighting: Sighting
    limit: Limit

    def __str__(self) -> str:
        seen = self.sighting
        return f"{seen.class_name} {seen.conf:.2f} at step {self.index + 1}, {self.rule.value}"


@dataclass(frozen=True, slots=True)
class PreviewThresholds:
    """The detector's thresholds for previews, in which everything looks a little malformed.

    Attributes:
        limits: by fraction of the run, by class name. A class that is not named never counts.
        detector: id of the model they were fitted for; empty if they were not fitted.
        preview: kind of preview that they were fitted on.
    """

    limits: Mapping[float, Mapping[str, Limit]]
    detector: str = ""
    preview: str = ""

    @classmethod
    def guessed(
        cls, default_conf: Mapping[str, float], fractions: Sequence[float] = FRACTIONS
    ) -> PreviewThresholds:
        """For a detector without fitted ones: stricter than for finished pictures, most of all early."""
        return cls(
            {
                fraction: {
                    name: _guess(conf, fraction) for name, conf in default_conf.items() if is_malformed(name)
                }
                for fraction in fractions
            }
        )

    @classmethod
    def load(cls, path: Path) -> PreviewThresholds:
        """Reads what ``save`` wrote.

        Raises:
            ModelUnavailable: if it cannot be read.
        """
        try:
            stored = json.loads(path.read_text("utf-8"))
            limits = {
                float(fraction): {name: Limit(**limit) for name, limit in by_class.items()}
                for fraction, by_class in stored["limits"].items()
            }
            return cls(limits, stored["detector"], stored["preview"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes JSON, to be kept beside the detector as ``THRESHOLDS_FILE``."""
        limits = {
            str(fraction): {name: asdict(limit) for name, limit in by_class.items()}
            for fraction, by_class in self.limits.items()
        }
        stored = {"detector": self.detector, "preview": self.preview, "limits": limits}
        path.write_text(json.dumps(stored, indent=2) + "\n", "utf-8")

    def limit(self, fraction: float, class_name: str) -> Limit | None:
        """At the nearest fraction there is; None for a class that never counts."""
        if not self.limits:
            return None
        nearest = min(self.limits, key=lambda known: (abs(known - fraction), known))
        return self.limits[nearest].get(class_name)


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run that was watched to its end, for fitting: its looks, and whether it ended malformed."""

    looks: tuple[Look, ...]
    malformed: bool


def checkpoints(total: int, fractions: Sequence[float] = FRACTIONS) -> dict[int, float]:
    """At which steps to look: step index to fraction.

    The last step is never among them, unless it is the only one: after it there is nothing to save but
    the decode. In short runs fewer looks are left.

    Args:
        total: steps of the run, 1 or more.
        fractions: of the run, each in (0, 1).
    """
    found: dict[int, float] = {}
    for fraction in sorted(fractions):
        done = min(max(math.floor(fraction * total + 0.5), 1), max(1, total - 1))
        nearest = min(fractions, key=lambda known: (abs(known - done / total), known))
        found[done - 1] = nearest
    return found


def decide(looks: Sequence[Look], thresholds: PreviewThresholds) -> AbortReason | None:
    """Whether to stop after the last of ``looks``.

    One sighting far over its limit is enough; else the same class must have been a hit in the look
    before, in a place that overlaps.
    """
    if not looks:
        return None
    last, before = looks[-1], looks[-2] if len(looks) > 1 else None
    for seen in last.sightings:
        limit = thresholds.limit(last.fraction, seen.class_name)
        if limit is None or seen.conf < limit.hit:
            continue
        far = seen.conf >= limit.far
        if far or (before is not None and _was_hit(seen, before, thresholds)):
            return AbortReason(Rule.FAR_OVER if far else Rule.TWICE, last.index, last.fraction, seen, limit)
    return None


def is_local(
    reason: AbortReason, look: Look, size_hw: tuple[int, int], thresholds: PreviewThresholds
) -> bool:
    """Whether a stopped run is worth a repair in flight: all that is wrong lies in one small place.

    Args:
        reason: why it was stopped.
        look: the last one.
        size_hw: height and width of the picture in pixels.
        thresholds: by which a sighting is a hit.
    """
    box = reason.sighting.xyxy
    if float(area(box)[0]) > MOST_LOCAL_SHARE * size_hw[0] * size_hw[1]:
        return False
    hits = [seen.xyxy for seen in look.sightings if _is_hit(seen, look.fraction, thresholds)]
    return all(float(iou(box, hit)[0, 0]) > 0.0 for hit in hits)


def fit_thresholds(
    runs: Iterable[WatchedRun], most_false_aborts: float = 0.05, detector: str = "", preview: str = ""
) -> PreviewThresholds:
    """The loosest thresholds with which few of the runs that ended well would have been stopped.

    For a rate r, ``hit`` is the score that a share r of the good runs reaches at that fraction, and ``far``
    the one that r / 5 reach; the largest r is taken with which ``decide`` stops at most the wanted share.

    Args:
        runs: watched to their end, all with the same fractions.
        most_false_aborts: share of the runs that ended well that may be stopped, in [0, 1].
        detector: id, to be stored.
        preview: kind, to be stored.

    Raises:
        ValueError: if no run ended well.
    """
    seen = list(runs)
    good = [run for run in seen if not run.malformed]
    if not good:
        raise ValueError("thresholds need runs that ended well")
    fractions = sorted({look.fraction for run in seen for look in run.looks})
    names = sorted({s.class_name for run in seen for look in run.looks for s in look.sightings})
    for rate in RATES:
        limits = {f: {name: _limit(good, f, name, rate) for name in names} for f in fractions}
        thresholds = PreviewThresholds(limits, detector, preview)
        if stopped_share(good, thresholds) <= most_false_aborts:
            break
    return thresholds


def stopped_share(runs: Sequence[WatchedRun], thresholds: PreviewThresholds) -> float:
    """Share of the runs that would have been stopped, in [0, 1]; 0 if there is none."""
    stopped = [
        any(decide(run.looks[: i + 1], thresholds) is not None for i in range(len(run.looks))) for run in runs
    ]
    return float(np.mean(stopped)) if stopped else 0.0


def _guess(conf: float, fraction: float) -> Limit:
    hit = conf + (1.0 - conf) * 0.5 * (1.0 - fraction)
    return Limit(hit, hit + (1.0 - hit) * 0.5)


def _is_hit(seen: Sighting, fraction: float, thresholds: PreviewThresholds) -> bool:
    limit = thresholds.limit(fraction, seen.class_name)
    return limit is not None and seen.conf >= limit.hit


def _was_hit(seen: Sighting, look: Look, thresholds: PreviewThresholds) -> bool:
    return any(
        earlier.class_name == seen.class_name
        and _is_hit(earlier, look.fraction, thresholds)
        and float(iou(earlier.xyxy, seen.xyxy)[0, 0]) > 0.0
        for earlier in look.sightings
    )


def _limit(good: Sequence[WatchedRun], fraction: float, name: str, rate: float) -> Limit:
    best = [
        max((s.conf for s in look.sightings if s.class_name == name), default=0.0)
        for run in good
        for look in run.looks
        if look.fraction == fraction
    ]
    hit, far = (_exceeded_by(best, share) for share in (rate, rate / FAR_RARER))
    return Limit(hit, max(hit, far))


def _exceeded_by(scores: Sequence[float], share: float) -> float:
    """The least score that at most this share of ``scores`` reaches."""
    falling = sorted(scores, reverse=True)
    allowed = math.floor(share * len(falling))
    if allowed >= len(falling):
        return LEAST_HIT
    return max(LEAST_HIT, float(np.nextafter(falling[allowed], np.inf)))
