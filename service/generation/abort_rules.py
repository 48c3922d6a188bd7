"""Rules to abort a run, from detections in its previews. Plain records; no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from detectors.body_parts import is_malformed
from detectors.boxes import area, iou
from service.core.errors import ModelUnavailable
from service.core.params import WATCH_FRACTIONS

THRESHOLDS_FILE = "previews.json"
MOST_LOCAL_SHARE = 0.25
SEEN_CONF = 0.25
"""Least score of a sighting that is more than a faint suspicion."""


class Rule(StrEnum):
    """The rule that aborted a run or started a repair in flight."""

    FAR_OVER = "far_over"
    TWICE = "seen_twice"
    ONE_PLACE = "one_place"


@dataclass(frozen=True, slots=True)
class Limit:
    """Limits for the sum of one class's scores in a preview (see ``Look.expected``).

    Attributes:
        hit: aborts if it is reached in two looks in a row.
        far: aborts if it is reached once; not below ``hit``.
    """

    hit: float
    far: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.hit <= self.far:
            raise ValueError(f"0 <= hit <= far, not {self.hit} and {self.far}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewDefect:
    """A malformed part in one preview.

    Attributes:
        class_name: class name of the detector.
        conf: score in [0, 1].
        xyxy: box in pixels of the finished picture.
    """

    class_name: str
    conf: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Detections in one preview of a run.

    Attributes:
        index: index of the step.
        fraction: the calibrated fraction of the run to which this look belongs.
        defects: malformed parts, most confident first.
    """

    index: int
    fraction: float
    defects: tuple[PreviewDefect, ...] = ()

    def expected(self, class_name: str) -> float:
        """Returns the sum of a class's scores: the expected number of such parts.

        It ranks runs better than the worst part does, since most runs have a bad part (decision 15).
        """
        return sum(seen.conf for seen in self.defects if seen.class_name == class_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTrigger:
    """The reason why a run was stopped, for the report.

    Attributes:
        defect: the detection of the class with the highest score.
        expected: sum of the class's scores, which reached the limit.
    """

    rule: Rule
    index: int
    fraction: float
    defect: PreviewDefect
    expected: float
    limit: Limit

    def __str__(self) -> str:
        seen = f"{self.expected:.2f} {self.defect.class_name} expected"
        return f"{seen} at step {self.index + 1}, {self.rule.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewThresholds:
    """The detector's thresholds for previews, in which everything looks a little malformed.

    Attributes:
        limits: limits by fraction of the run and class name. A class that is not named never counts.
        detector: id of the detector they were fitted for; empty if they were not fitted.
        preview: kind of preview they were fitted on.
        generator: id of the model whose runs they were fitted on.
    """

    limits: Mapping[float, Mapping[str, Limit]]
    detector: str = ""
    preview: str = ""
    generator: str = ""

    @property
    def fractions(self) -> tuple[float, ...]:
        """Fractions of a run for which there are limits, rising."""
        return tuple(sorted(self.limits)) or WATCH_FRACTIONS

    @classmethod
    def guessed(
        cls, default_conf: Mapping[str, float], fractions: Sequence[float] = WATCH_FRACTIONS
    ) -> PreviewThresholds:
        """Guesses thresholds from those for finished pictures: higher, most of all early in a run."""
        return cls(
            limits={
                fraction: {
                    name: _guess(conf, fraction) for name, conf in default_conf.items() if is_malformed(name)
                }
                for fraction in fractions
            }
        )

    @classmethod
    def load(cls, path: Path) -> PreviewThresholds:
        """Reads a file written by ``save``.

        Raises:
            ModelUnavailable: the file cannot be read.
        """
        try:
            stored = json.loads(path.read_text("utf-8"))
            limits = {
                float(fraction): {name: Limit(**limit) for name, limit in by_class.items()}
                for fraction, by_class in stored["limits"].items()
            }
            return cls(
                limits=limits,
                detector=stored["detector"],
                preview=stored["preview"],
                generator=stored["generator"],
            )
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
        """Returns the limit of a class at the nearest fraction; None for a class that never counts."""
        if not self.limits:
            return None
        nearest = min(self.limits, key=lambda known: (abs(known - fraction), known))
        return self.limits[nearest].get(class_name)


def checkpoints(total: int, fractions: Sequence[float] = WATCH_FRACTIONS) -> dict[int, float]:
    """Returns the steps at which to look: step index to fraction.

    The last step is never among them, unless it is the only one: after it only the decode could be saved.
    Short runs get fewer looks.

    Args:
        total: number of steps of the run, 1 or more.
        fractions: fractions of the run, each in (0, 1).
    """
    found: dict[int, float] = {}
    for fraction in sorted(fractions):
        done = min(max(math.floor(fraction * total + 0.5), 1), max(1, total - 1))
        nearest = min(fractions, key=lambda known: (abs(known - done / total), known))
        found[done - 1] = nearest
    return found


def decide(looks: Sequence[Look], thresholds: PreviewThresholds) -> WatchTrigger | None:
    """Decides after the last of ``looks``: returns the reason to stop, or None to go on.

    A class that reaches its limit ``far`` is enough; else the class must reach ``hit`` in two looks in a row.
    """
    if not looks:
        return None
    last, before = looks[-1], looks[-2] if len(looks) > 1 else None
    for name, surest in _surest(last).items():
        limit = thresholds.limit(last.fraction, name)
        expected = last.expected(name)
        if limit is None or expected < limit.hit:
            continue
        far = expected >= limit.far
        if far or (before is not None and _is_hit(before, name, thresholds)):
            rule = Rule.FAR_OVER if far else Rule.TWICE
            return WatchTrigger(
                rule=rule,
                index=last.index,
                fraction=last.fraction,
                defect=surest,
                expected=expected,
                limit=limit,
            )
    return None


def has_hit(look: Look, thresholds: PreviewThresholds) -> bool:
    """Tells whether any class in the look reaches its limit ``hit``."""
    return any(_is_hit(look, name, thresholds) for name in _surest(look))


def one_place(look: Look, size_hw: tuple[int, int], default_conf: Mapping[str, float]) -> WatchTrigger | None:
    """Returns the only malformed place of an otherwise good picture if it is small, for a repair in flight.

    Its score must reach the guessed threshold for previews: fitted limits are for sums of several parts.

    Args:
        look: detections in the preview.
        size_hw: height and width of the picture in pixels.
        default_conf: least score of a class in a finished picture, by class name.
    """
    seen = [defect for defect in look.defects if defect.conf >= SEEN_CONF]
    if not seen:
        return None
    surest = max(seen, key=lambda defect: defect.conf)
    limit = _guess(default_conf[surest.class_name], look.fraction)
    is_small = float(area(surest.xyxy)[0]) <= MOST_LOCAL_SHARE * size_hw[0] * size_hw[1]
    is_alone = all(float(iou(surest.xyxy, other.xyxy)[0, 0]) > 0.0 for other in seen)
    if surest.conf < limit.hit or not (is_small and is_alone):
        return None
    return WatchTrigger(
        rule=Rule.ONE_PLACE,
        index=look.index,
        fraction=look.fraction,
        defect=surest,
        expected=look.expected(surest.class_name),
        limit=limit,
    )


def _guess(conf: float, fraction: float) -> Limit:
    hit = conf + (1.0 - conf) * 0.5 * (1.0 - fraction)
    return Limit(hit, hit + (1.0 - hit) * 0.5)


def _is_hit(look: Look, class_name: str, thresholds: PreviewThresholds) -> bool:
    limit = thresholds.limit(look.fraction, class_name)
    return limit is not None and look.expected(class_name) >= limit.hit


def _surest(look: Look) -> dict[str, PreviewDefect]:
    """Returns the detection with the highest score of each class."""
    found: dict[str, PreviewDefect] = {}
    for seen in sorted(look.defects, key=lambda seen: -seen.conf):
        found.setdefault(seen.class_name, seen)
    return found
