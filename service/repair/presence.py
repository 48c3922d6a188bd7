"""Presence of parts: assignment of detections to a region, and the check that its part remains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from detectors.body_parts import BODIES, PARTS, is_malformed, malformed_class, part_of
from detectors.detections import Box, Detections
from service.core.regions import Region
from service.repair.gate_params import GATE_PARAMS, GateParams

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFinder:
    """Finds a region's parts among a detector's boxes.

    Attributes:
        class_names: class names of the detector, by ``class_id``.
        thresholds: least score of each class, by class name.
        params: the gate's limits for overlaps and shares.
    """

    class_names: Sequence[str]
    thresholds: Mapping[str, float]
    params: GateParams = GATE_PARAMS

    def covers(self, found: Detections, region: Region) -> Rows:
        """Selects the boxes of the region: they overlap it enough, or one contains the other."""
        overlap = boxes.iou(found.xyxy, region.xyxy)[:, 0]
        inside = boxes.containment(found.xyxy, region.xyxy)[:, 0]
        around = boxes.containment(region.xyxy, found.xyxy)[0]
        near = np.maximum(inside, around) >= self.params.near_containment
        return np.asarray((overlap >= self.params.near_iou) | near)

    def malformed_here(self, found: Detections, region: Region, rivals: Sequence[Box]) -> Rows:
        """Selects the detections of this region's defect.

        Legs and clasped hands overlap: a box closer to another planned region belongs to that one.
        In a painted region every kind of defect counts.
        """
        part = part_of(region.class_name)
        names = [self.class_names[i] for i in found.class_id]
        kind = [is_malformed(name) and (region.is_painted or part_of(name) == part) for name in names]
        closeness = boxes.iou(found.xyxy, region.xyxy)[:, 0]
        to_rivals = boxes.iou(found.xyxy, boxes.as_boxes(rivals)).max(axis=1, initial=0.0)
        return np.asarray(np.array(kind, bool) & self.covers(found, region) & (closeness >= to_rivals))

    def best_part(self, found: Detections, region: Region) -> tuple[Box | None, float]:
        """Finds the region's part, well-formed or not.

        Returns:
            The box with the highest score (None without the part), and the best well-formed score.
        """
        rows = self._part_rows(found, self._parts_of(region)) & self.covers(found, region)
        here = found[rows].by_confidence()
        if not len(here):
            return None, 0.0
        sound = here[[not is_malformed(self.class_names[i]) for i in here.class_id]]
        return boxes.whole(here.xyxy[0]), float(sound.conf.max(initial=0.0))

    def part_lost(self, before: Detections, after: Detections, region: Region) -> bool:
        """Tells whether the region has fewer parts than before.

        A hand must stay. A superfluous countable part may go if its body is still there with all its parts.
        A part without a class of the detector is not checked.
        """
        known = [part for part in self._parts_of(region) if part in self.class_names]
        return any(self._is_lost(part, before, after, region) for part in known)

    def _is_lost(self, part: str, before: Detections, after: Detections, region: Region) -> bool:
        def count(found: Detections, share: float) -> int:
            rows = self._part_rows(found, [part], share) & self.covers(found, region)
            return len(_distinct(found[rows]))

        is_countable = part in PARTS and PARTS[part].is_countable
        share = self.params.presence_share
        expected = min(count(before, share), 1)
        if is_countable:
            expected = max(expected, count(before, 1.0))
        return count(after, share) < expected and not (is_countable and self._is_whole(part, after, region))

    def _is_whole(self, part: str, found: Detections, region: Region) -> bool:
        """Tells whether a body that contains the region has all of its parts of this kind."""
        parts = _distinct(found[self._part_rows(found, [part])])
        for body in BODIES.values():
            bodies = found[
                [
                    self.class_names[i] == body.name and c >= self.thresholds[body.name]
                    for i, c in _rows(found)
                ]
            ]
            holds = boxes.containment(region.xyxy, bodies.xyxy)[0] >= self.params.body_containment
            counts = boxes.contains_centre(bodies[holds].xyxy, parts).sum(axis=1)
            if (counts >= body.parts.get(part, 0)).any():
                return True
        return False

    def _parts_of(self, region: Region) -> list[str]:
        """Returns the parts that a region may contain: its own, or any in a painted region."""
        if not region.is_painted:
            return [part_of(region.class_name)]
        return [name for name in self.class_names if malformed_class(name) in self.class_names]

    def _part_rows(self, found: Detections, parts: Sequence[str], share: float | None = None) -> Rows:
        """Selects the rows of these parts, of either kind, with at least this share of their thresholds."""
        least = self.params.presence_share if share is None else share
        names = self.class_names
        return np.array(
            [part_of(names[i]) in parts and c >= least * self.thresholds[names[i]] for i, c in _rows(found)],
            bool,
        )


def _distinct(found: Detections) -> NDArray[np.float64]:
    """Returns the boxes (N, 4) of the detections, without duplicates."""
    return boxes.merge(found.xyxy, least_iou=0.5)


def _rows(found: Detections) -> list[tuple[int, float]]:
    return [(int(i), float(conf)) for i, conf in zip(found.class_id, found.conf, strict=True)]
