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
from service.core.errors import ModelUnavailable
from service.repair.gate_params import GATE_PARAMS, GateParams

GENERATOR_CALIBRATION_FILE = "generated.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """By which a picture is judged.

    Attributes:
        conf: score from which each class counts, by class name.
        fusion: makes one score of the detector's and the critic's; None if the detector's is taken.
        gate: limits of the gate.
    """

    conf: Mapping[str, float]
    fusion: Fusion | None = None
    gate: GateParams = GATE_PARAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedCalibration:
    """What holds where a critic takes part in finding.

    Attributes:
        conf: least score of each malformed class, by class name, on the scale of ``fusion``.
        fusion: what it is the score of.
        critic: id of the critic it was fitted for.
    """

    conf: Mapping[str, float]
    fusion: Fusion
    critic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorCalibration:
    """Fitted on labelled pictures of one generator.

    Attributes:
        conf: least score of each malformed class, by class name, where the detector looks alone.
        detector: id of the model they were fitted for.
        generator: id of the model that made the pictures.
        fused: what holds with the critic, if it was fitted.
        gate: limits of the gate for these pictures; those that hold for any picture if None.
    """

    conf: Mapping[str, float]
    detector: str
    generator: str
    fused: FusedCalibration | None = None
    gate: GateParams | None = None

    @classmethod
    def load(cls, path: Path) -> GeneratorCalibration:
        """Reads what ``save`` wrote.

        Raises:
            ModelUnavailable: if it cannot be read.
        """
        try:
            stored = json.loads(path.read_text("utf-8"))
            fused, gate = stored.get("fused"), stored.get("gate")
            return cls(
                conf=_scores(stored["conf"]),
                detector=stored["detector"],
                generator=stored["generator"],
                fused=fused and _fused(fused),
                gate=gate and GateParams(**gate),
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes JSON, to be kept beside the detector as ``GENERATOR_CALIBRATION_FILE``."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    def over(
        self, usual: Calibration, detector: Detector, critic: Critic | None, generator: str
    ) -> Calibration:
        """Returns this calibration over the usual one; the usual one alone for other models."""
        if (detector.model_id, generator) != (self.detector, self.generator):
            return usual
        gate = self.gate or usual.gate
        if self.fused is None or critic is None or critic.model_id != self.fused.critic:
            return Calibration({**usual.conf, **self.conf}, gate=gate)
        return Calibration({**usual.conf, **self.fused.conf}, self.fused.fusion, gate)


def calibration_for(
    own: GeneratorCalibration | None,
    detector: Detector,
    critic: Critic | None,
    generator: str,
    gate: GateParams = GATE_PARAMS,
) -> Calibration:
    """Returns the calibration for a generator's own pictures; the usual one where none was fitted for them.

    Args:
        own: what was fitted, if anything.
        detector: the detector in use.
        critic: the critic in use.
        generator: id of the model that makes the pictures.
        gate: limits of the gate for any picture.
    """
    usual = Calibration(detector.default_conf, gate=gate)
    return usual if own is None else own.over(usual, detector, critic, generator)


def _scores(stored: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(score) for name, score in stored.items()}


def _fused(stored: Mapping[str, Any]) -> FusedCalibration:
    weights = {part: Weights(**_scores(by)) for part, by in stored["fusion"]["weights"].items()}
    return FusedCalibration(
        conf=_scores(stored["conf"]), fusion=Fusion(weights), critic=str(stored["critic"])
    )
