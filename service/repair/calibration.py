"""Calibration of the thresholds: one for any picture, and one for pictures of the service's own generator.

A threshold with few false alarms on any picture, where most parts are well-formed, misses most defects in
pictures of a small generator, where half of the limbs are malformed. For the models that they were fitted
for, these thresholds replace the detector's own (``docs/decisions/0010``), and the critic takes part in
detection (``docs/decisions/0011``).
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
UPLOAD_CALIBRATION_FILE = "uploads.json"
ANY_PICTURE = ""
"""In place of a generator's id: the calibration holds for any upload."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds for one kind of picture.

    Attributes:
        conf: least score of each class, by class name.
        fusion: fuses the scores of detector and critic; None to use the detector's alone.
        gate: limits of the gate.
    """

    conf: Mapping[str, float]
    fusion: Fusion | None = None
    gate: GateParams = GATE_PARAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedCalibration:
    """Thresholds for detection with the critic.

    Attributes:
        conf: least score of each malformed class, by class name, on the scale of ``fusion``.
        fusion: the fitted fusion of both scores.
        critic: id of the critic that it was fitted for.
    """

    conf: Mapping[str, float]
    fusion: Fusion
    critic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorCalibration:
    """Thresholds fitted on labelled pictures of one generator.

    Attributes:
        conf: least score of each malformed class, by class name, for the detector alone.
        detector: id of the detector that they were fitted for.
        generator: id of the model that generated the pictures.
        fused: thresholds for detection with the critic; None if they were not fitted.
        gate: limits of the gate for these pictures; those that hold for any picture if None.
    """

    conf: Mapping[str, float]
    detector: str
    generator: str
    fused: FusedCalibration | None = None
    gate: GateParams | None = None

    @classmethod
    def load(cls, path: Path) -> GeneratorCalibration:
        """Reads a file written by ``save``.

        Raises:
            ModelUnavailable: the file cannot be read.
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
        """Returns the usual calibration overridden by this one; the usual one alone for other models."""
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
    """Returns the calibration for a generator's own pictures; the usual one if none was fitted.

    Args:
        own: the fitted calibration, if any.
        detector: the detector in use.
        critic: the critic in use.
        generator: id of the model that generates the pictures.
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
