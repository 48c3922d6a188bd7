"""The gate, which accepts a redrawn region only if it is better than the original.

Every candidate is composited into the full picture, and the detector sees the result. It also sees a
JPEG-compressed and a reduced copy, since a defect that comes back there was not gone. In a large picture
the detector also sees the surroundings of the region alone, where a small part is large enough to be
scored. The critic, another model, then scores the part's own crop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors import boxes
from detectors.body_parts import is_malformed, part_of
from detectors.detections import Box, Detections, Image
from detectors.fusion import Fusion
from detectors.protocols import Critic, Detector
from service.core.regions import Region
from service.core.report import Verdict
from service.repair.gate_params import GATE_PARAMS, GateParams
from service.repair.presence import PartFinder
from service.repair.views import views_of


@dataclass(frozen=True, slots=True, eq=False)
class ViewDetections:
    """Detections in one picture, in its pixels.

    Attributes:
        plain: detections in the picture itself.
        worn: detections in its compressed and reduced copies.
    """

    plain: Detections
    worn: Detections

    @property
    def all(self) -> Detections:
        """All detections, of the picture and its copies."""
        return _joined([self.plain, self.worn])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reading:
    """Scores of one picture in one region.

    Attributes:
        detections: all detections.
        conf: worst malformed score in the region, over all copies; 0 if none. Fused with the other two
            scores if the gate has a fusion.
        sound: best well-formed score in the region, in the picture itself; 0 if none.
        critic: the critic's probability of malformed; None without a critic or without a part.
    """

    detections: ViewDetections
    conf: float
    sound: float
    critic: float | None


@dataclass(frozen=True, slots=True)
class Fit:
    """The fit of a candidate into the picture, apart from its content.

    Attributes:
        seam: see ``blend.seam``.
        foreign_colour: see ``colour.foreign_colour``; 0 if other colours were requested.
    """

    seam: float = 1.0
    foreign_colour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The gate's scores and verdict for one candidate."""

    conf: float
    critic: float | None
    fit: Fit
    verdict: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Scores pictures and judges candidates.

    Attributes:
        detector: the detector that found the defects.
        critic: the second model; None for none.
        thresholds: least score of each class, by class name.
        fusion: fuses the scores of detector and critic, if the thresholds were fitted for that.
        params: limits of the gate.
    """

    detector: Detector
    critic: Critic | None
    thresholds: Mapping[str, float]
    fusion: Fusion | None = None
    params: GateParams = GATE_PARAMS

    @property
    def _parts(self) -> PartFinder:
        return PartFinder(
            class_names=self.detector.class_names, thresholds=self.thresholds, params=self.params
        )

    def limit(self, class_name: str) -> float:
        """Returns the score below which a defect counts as gone; a high threshold does not raise it."""
        if self._fuses(class_name):
            return self.params.share * min(self.thresholds[class_name], self.params.max_fused_doubt)
        thresholds = (
            self.thresholds[class_name],
            self.detector.default_conf[class_name],
            self.params.max_doubt,
        )
        return self.params.share * min(thresholds)

    def is_sound(self, region: Region, reading: Reading) -> bool:
        """Tells whether a region has no defect left."""
        return reading.conf < self._worst_allowed(region) and not self._critic_objects(reading)

    def read(
        self, images: Sequence[Image], region: Region, near: Box, rivals: Sequence[Box] = ()
    ) -> list[Reading]:
        """Scores a region in several pictures, all in one batch.

        Args:
            images: uint8 RGB (H, W, 3), all of one size.
            region: the region to score.
            near: its surroundings, which are also examined alone in a large picture.
            rivals: the other planned regions; a defect closer to one of them does not belong to this one.
        """
        all_detections = self._look(images, near)
        found = [self._parts.best_part(s.plain, region) for s in all_detections]
        critics = self._ask_critic(images, [box for box, _ in found], part_of(region.class_name))
        readings = []
        for detections, (_, sound), critic in zip(all_detections, found, critics, strict=True):
            seen = detections.all
            here = seen[self._parts.malformed_here(seen, region, rivals)]
            conf = self._fused(region, float(here.conf.max(initial=0.0)), sound, critic)
            readings.append(Reading(detections=detections, conf=conf, sound=sound, critic=critic))
        return readings

    def _fuses(self, class_name: str) -> bool:
        return self.fusion is not None and part_of(class_name) in self.fusion.weights

    def _fused(self, region: Region, conf: float, sound: float, critic: float | None) -> float:
        if self.fusion is None:
            return conf
        return self.fusion.score(part_of(region.class_name), conf, sound, critic)

    def judge(
        self, region: Region, before: Reading, after: Reading, fit: Fit, rivals: Sequence[Box] = ()
    ) -> Judgement:
        """Compares one candidate with the original.

        Args:
            region: the redrawn region.
            before: the reading of the picture without the candidate.
            after: the reading with it.
            fit: the candidate's fit into the picture.
            rivals: see ``read``.
        """
        return Judgement(
            conf=after.conf,
            critic=after.critic,
            fit=fit,
            verdict=self._verdict(region, before, after, fit, rivals),
        )

    def _verdict(
        self, region: Region, before: Reading, after: Reading, fit: Fit, rivals: Sequence[Box]
    ) -> Verdict:
        names, plain = self.detector.class_names, (before.detections.plain, after.detections.plain)
        allowed = self._worst_allowed(region)
        # A part that scores higher as malformed than as well-formed is doubtful, even at low scores.
        is_told = not self._fuses(region.class_name) and part_of(region.class_name) in names
        doubtful = is_told and after.sound < after.conf >= self.params.doubt_share * allowed
        checks = (
            (Verdict.STILL_MALFORMED, after.conf >= allowed or doubtful),
            (Verdict.PART_LOST, self._parts.part_lost(*plain, region)),
            (Verdict.NEW_DEFECT, self._has_new_defect(region, before, after, rivals)),
            (Verdict.CRITIC_DISAGREES, self._critic_objects(after)),
            (Verdict.VISIBLE_SEAM, fit.seam > self.params.max_seam),
            (Verdict.FOREIGN_COLOUR, fit.foreign_colour > self.params.max_foreign_colour),
            (Verdict.NOT_BETTER, self._is_worse(before, after)),
        )
        return next((verdict for verdict, holds in checks if holds), Verdict.ACCEPTED)

    def _is_worse(self, before: Reading, after: Reading) -> bool:
        by_detector = after.conf > before.conf + self.params.conf_noise
        if before.critic is None or after.critic is None:
            return by_detector
        return by_detector or after.critic > before.critic + self.params.critic_noise

    def _worst_allowed(self, region: Region) -> float:
        defects = [name for name in self.detector.class_names if is_malformed(name)]
        if not region.is_painted:
            defects = [name for name in defects if part_of(name) == part_of(region.class_name)]
        return min((self.limit(name) for name in defects), default=1.0)

    def _critic_objects(self, reading: Reading) -> bool:
        return (
            self.critic is not None and reading.critic is not None and reading.critic >= self.critic.threshold
        )

    def _has_new_defect(self, region: Region, before: Reading, after: Reading, rivals: Sequence[Box]) -> bool:
        """Tells whether there is a new defect anywhere in the picture, in any copy."""
        names, old, new = self.detector.class_names, before.detections.all, after.detections.all
        own = self._parts.malformed_here(new, region, rivals)
        for row in np.flatnonzero(~own):
            class_id, name = new.class_id[row], names[new.class_id[row]]
            if not is_malformed(name) or new.conf[row] < self.thresholds[name]:
                continue
            known = old[(old.class_id == class_id) & (old.conf >= self.params.share * self.thresholds[name])]
            if not (boxes.iou(new.xyxy[row], known.xyxy) >= self.params.same_defect_iou).any():
                return True
        return False

    def _ask_critic(
        self, images: Sequence[Image], found: Sequence[Box | None], part: str
    ) -> list[float | None]:
        answers: list[float | None] = [None] * len(images)
        if self.critic is not None:
            rows = [i for i, box in enumerate(found) if box is not None]
            crops = [self.critic.crop(images[i], box) for i in rows if (box := found[i]) is not None]
            for i, answer in zip(rows, self.critic.malformed(crops, [part] * len(crops)), strict=True):
                answers[i] = answer
        return answers

    def _look(self, images: Sequence[Image], near: Box) -> list[ViewDetections]:
        views = [view for image in images for view in views_of(image, near)]
        seen = self.detector.detect([view.image for view in views], self.params.least_conf)
        placed = [view.to_picture(found) for view, found in zip(views, seen, strict=True)]
        per_image = len(views) // len(images) if images else 0
        all_detections = []
        for start in range(0, len(views), per_image or 1):
            rows = range(start, start + per_image)
            plain = [placed[i] for i in rows if not views[i].worn]
            worn = [placed[i] for i in rows if views[i].worn]
            all_detections.append(ViewDetections(_joined(plain), _joined(worn)))
        return all_detections


def _joined(parts: Sequence[Detections]) -> Detections:
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.conf for part in parts]),
        np.concatenate([part.class_id for part in parts]),
    )
