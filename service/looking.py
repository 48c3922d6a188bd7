"""The first look at a picture: what is found, and what of it is to be repaired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.detections import Detections, Image
from detectors.protocols import Detector, is_malformed
from service.repair.plan import plan_repair
from service.report import RepairParams, RepairPlan


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A picture after the first look: what to repair in it, and by which measure.

    Attributes:
        image: uint8 RGB.
        plan: what to repair.
        thresholds: score from which each class counts, by class name.
        seen: class names that were found.
    """

    image: Image
    plan: RepairPlan
    thresholds: Mapping[str, float]
    seen: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Looker:
    """Looks with a detector.

    Attributes:
        detector: finds parts and defects.
        native_px: side of the square at which is redrawn.
    """

    detector: Detector
    native_px: int

    def look(self, image: Image, params: RepairParams) -> Looked:
        """Finds and plans."""
        thresholds, names = self.thresholds(params), self.detector.class_names
        found = self.found(image, thresholds)
        plan = plan_repair(found, names, image.shape[:2], params, self.native_px)
        return Looked(image, plan, thresholds, frozenset(names[i] for i in found.class_id))

    def found(self, image: Image, thresholds: Mapping[str, float]) -> Detections:
        """What reaches its class's threshold."""
        seen = self.detector.detect([image], min(thresholds.values()))[0]
        least = np.array([thresholds[self.detector.class_names[i]] for i in seen.class_id])
        return seen[seen.conf >= least]

    def thresholds(self, params: RepairParams) -> Mapping[str, float]:
        """The defaults by class name, with the request's own for all defects."""
        default, asked = self.detector.default_conf, params.conf
        return {
            name: asked if asked is not None and is_malformed(name) else default[name]
            for name in self.detector.class_names
        }
