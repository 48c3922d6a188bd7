"""By which measure a picture is judged: any picture's, and that for what the service's own generator makes.

A threshold that raises few alarms on any picture, most of them well-formed, misses most of what is wrong with
pictures of a small generator, half of whose limbs are malformed. For the models that they were fitted for,
these thresholds take the place of the detector's own (``docs/decisions/0010``), and the critic takes part in
finding (``docs/decisions/0011``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectors.fusion import Fusion, Weights
from detectors.protocols import Critic, Detector
from service.errors import ModelUnavailable

OWN_THRESHOLDS_FILE = "generated.json"
UPLOAD_THRESHOLDS_FILE = "uploads.json"
ANYBODY = ""
"""In the place of a generator's id: the thresholds hold for whatever is uploaded."""


@dataclass(frozen=True, slots=True)
class Measure:
    """By which a picture is judged.

    Attributes:
        conf: score from which each class counts, by class name.
        fusion: makes one score of the detector's and the critic's; None if the detector's is taken.
    """

    conf: Mapping[str, float]
    fusion: Fusion | None = None


@dataclass(frozen=True, slots=True)
class Fused:
    """What holds where a critic takes part in finding.

    Attributes:
        conf: least score of each malformed class, by class name, on the scale of ``fusion``.
        fusion: what it is the score of.
        critic: id of the critic it was fitted for.
    """

    conf: Mapping[str, float]
    fusion: Fusion
    critic: str


@dataclass(frozen=True, slots=True)
class OwnThresholds:
    """Fitted on labelled pictures of one generator, or of many (``ANYBODY``).

    Attributes:
        conf: least score of each malformed class, by class name, where the detector looks alone.
        detector: id of the model they were fitted for.
        generator: id of the model that made the pictures, or ``ANYBODY``.
        fused: what holds with the critic, if it was fitted.
    """

    conf: Mapping[str, float]
    detector: str
    generator: str
    fused: Fused | None = None

    @classmethod
    def load(cls, path: Path) -> OwnThresholds:
        """Reads what ``save`` wrote.

        Raises:
            ModelUnavailable: if it cannot be read.
        """
        try:
            stored = json.loads(path.read_text("utf-8"))
            fused = stored.get("fused")
            return cls(
                _scores(stored["conf"]), stored["detector"], stored["generator"], fused and _fused(fused)
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes JSON, to be kept beside the detector as ``OWN_THRESHOLDS_FILE``."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    def over(self, detector: Detector, critic: Critic | None, generator: str) -> Measure:
        """The measure to use: this one over the detector's own, or its own alone for other models."""
        conf = detector.default_conf
        if (detector.model_id, generator) != (self.detector, self.generator):
            return Measure(conf)
        if self.fused is None or critic is None or critic.model_id != self.fused.critic:
            return Measure({**conf, **self.conf})
        return Measure({**conf, **self.fused.conf}, self.fused.fusion)


def own_measure(
    own: OwnThresholds | None, detector: Detector, critic: Critic | None, generator: str
) -> Measure:
    """The measure for a generator's own pictures; the detector's own where none was fitted for them."""
    return Measure(detector.default_conf) if own is None else own.over(detector, critic, generator)


def _scores(stored: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(score) for name, score in stored.items()}


def _fused(stored: Mapping[str, Any]) -> Fused:
    weights = {part: Weights(**_scores(by)) for part, by in stored["fusion"]["weights"].items()}
    return Fused(_scores(stored["conf"]), Fusion(weights), str(stored["critic"]))
