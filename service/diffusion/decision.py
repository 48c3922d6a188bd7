"""When a run is hopeless: decided from what a detector saw in its previews. No torch; plain records."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from detectors.boxes import area, iou
from detectors.protocols import is_malformed
from service.errors import ModelUnavailable
from service.runs import FRACTIONS

THRESHOLDS_FILE = "previews.json"
MOST_LOCAL_SHARE = 0.25


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
        generator: id of the model whose runs they were fitted on.
    """

    limits: Mapping[float, Mapping[str, Limit]]
    detector: str = ""
    preview: str = ""
    generator: str = ""

    @property
    def fractions(self) -> tuple[float, ...]:
        """At which moments of a run to look, rising: those that they are for."""
        return tuple(sorted(self.limits)) or FRACTIONS

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
            return cls(limits, stored["detector"], stored["preview"], stored["generator"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes JSON, to be kept beside the detector as ``THRESHOLDS_FILE``."""
        limits = {
            str(fraction): {name: asdict(limit) for name, limit in by_class.items()}
            for fraction, by_class in self.limits.items()
        }
        stored = {
            "detector": self.detector,
            "preview": self.preview,
            "generator": self.generator,
            "limits": limits,
        }
        path.write_text(json.dumps(stored, indent=2) + "\n", "utf-8")

    def limit(self, fraction: float, class_name: str) -> Limit | None:
        """At the nearest fraction there is; None for a class that never counts."""
        if not self.limits:
            return None
        nearest = min(self.limits, key=lambda known: (abs(known - fraction), known))
        return self.limits[nearest].get(class_name)


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


def has_hit(look: Look, thresholds: PreviewThresholds) -> bool:
    """Whether anything in it counts: by itself, or once it is seen again."""
    return any(_is_hit(seen, look.fraction, thresholds) for seen in look.sightings)


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
