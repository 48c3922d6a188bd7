"""Inspection of a picture: detection, and the plan of the repair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from detectors.body_parts import is_malformed
from detectors.detections import Detections, Image
from detectors.fusion import FUSION_LEAST_CONF, Fusion
from detectors.heatmap import overlay
from detectors.protocols import Critic, Detector, DifferentiableDetector, guide_in
from service.core.errors import InvalidRequest
from service.core.params import MaskSource, RepairParams
from service.core.regions import RepairPlan
from service.repair.calibration import Calibration
from service.repair.gate_params import GATE_PARAMS, GateParams
from service.repair.heatmaps import heat_of_picture, hot_places
from service.repair.plan import Shape, plan_repair


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inspection:
    """An inspected picture, with the plan of its repair and the calibration in use.

    Attributes:
        image: uint8 RGB (H, W, 3).
        plan: the regions to repair.
        thresholds: least score of each class, by class name.
        seen: class names found in the picture.
        fusion: fusion of the malformed parts' scores; None if they are the detector's own.
        gate_params: limits of the gate.
    """

    image: Image
    plan: RepairPlan
    thresholds: Mapping[str, float]
    seen: frozenset[str]
    fusion: Fusion | None = None
    gate_params: GateParams = GATE_PARAMS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inspector:
    """Inspects pictures with a detector, and with a critic if the calibration fuses both.

    Attributes:
        detector: finds parts and defects.
        critic: scores crops; used if the calibration fuses both.
        native_px: side of the square at which regions are redrawn, in pixels.
        calibration: thresholds, unless a request sets its own.
    """

    detector: Detector
    critic: Critic | None
    native_px: int
    calibration: Calibration

    def inspect(self, image: Image, params: RepairParams) -> Inspection:
        """Detects parts and plans the repair.

        Raises:
            InvalidRequest: the request names a region that does not exist, or asks for a heat map from a
                detector without a gradient.
        """
        thresholds, names = self.thresholds(params), self.detector.class_names
        found = self.found(image, thresholds)
        plan = plan_repair(found, names, image.shape[:2], params, self.native_px, self._shape(image, params))
        seen = frozenset(names[i] for i in found.class_id)
        return Inspection(
            image=image,
            plan=plan,
            thresholds=thresholds,
            seen=seen,
            fusion=self._fusion,
            gate_params=self.calibration.gate,
        )

    def painted(self, image: Image, plan: RepairPlan) -> Inspection:
        """Returns the inspection for a painted mask's plan, without detection."""
        return Inspection(
            image=image,
            plan=plan,
            thresholds=self.thresholds(plan.params),
            seen=frozenset(),
            gate_params=self.calibration.gate,
        )

    @property
    def guide(self) -> DifferentiableDetector:
        """The detector, as a differentiable one.

        Raises:
            InvalidRequest: ``no_gradient``, if it is not differentiable.
        """
        guide = guide_in(self.detector)
        if guide is None:
            raise InvalidRequest(
                f"{self.detector.model_id} cannot say where its score for malformed comes from",
                code="no_gradient",
                allowed="no heat map and no nudge with this detector",
            )
        return guide

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Draws the heat map of all malformed parts over the picture: uint8 RGB (H, W, 3).

        Raises:
            InvalidRequest: ``no_gradient``, if the detector is not differentiable.
        """
        return overlay(image, heat_of_picture(self.guide, image, seen, self.detector.class_names))

    def _shape(self, image: Image, params: RepairParams) -> Shape | None:
        if params.mask_source is MaskSource.BOX:
            return None
        return partial(hot_places, self.guide, image, params=params)

    def found(self, image: Image, thresholds: Mapping[str, float]) -> Detections:
        """Returns the detections that reach the threshold of their class."""
        seen = self._seen(image, min(thresholds.values()))
        least = np.array([thresholds[self.detector.class_names[i]] for i in seen.class_id])
        return seen[seen.conf >= least]

    def thresholds(self, params: RepairParams) -> Mapping[str, float]:
        """Returns the thresholds by class name; the request's ``conf`` applies to all malformed classes."""
        return {
            name: params.conf
            if params.conf is not None and is_malformed(name)
            else self.calibration.conf[name]
            for name in self.detector.class_names
        }

    @property
    def _fusion(self) -> Fusion | None:
        return None if self.critic is None else self.calibration.fusion

    def _seen(self, image: Image, least_conf: float) -> Detections:
        if self.critic is None or self.calibration.fusion is None:
            return self.detector.detect([image], least_conf)[0]
        seen = self.detector.detect([image], FUSION_LEAST_CONF)[0]
        return self.calibration.fusion.reconsidered(image, seen, self.detector.class_names, self.critic)
