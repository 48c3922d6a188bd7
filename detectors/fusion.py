"""Late fusion of the detector's two scores for a part and the critic's probability, by logistic regression.

The detector sees the whole picture, the critic one crop, so their errors differ. A missing well-formed
detection beside a weak malformed one is as informative as the malformed score itself
(``docs/decisions/0011``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors import boxes
from detectors.body_parts import is_malformed, malformed_class, part_of
from detectors.detections import Detections, Image
from detectors.protocols import Critic

LEAST_SCORE = 1e-3
"""Scores below this carry no information; they are clamped to it."""
FUSION_LEAST_CONF = 0.01
PLACE_CONF = 0.25
"""Least score, well-formed or malformed, at which a part counts as present."""
SAME_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of each score's log-odds for one body part, and the bias."""

    malformed: float
    well_formed: float
    critic: float
    bias: float


@dataclass(frozen=True, slots=True)
class Fusion:
    """Fitted weights, by body part. A part without weights keeps the detector's score."""

    weights: Mapping[str, Weights]

    def score(self, part: str, malformed: float, well_formed: float, critic: float | None) -> float:
        """Returns the probability in (0, 1) that a part is malformed.

        Args:
            part: name of the body part.
            malformed: the detector's best score for a malformed one; 0 if none.
            well_formed: its best score for a well-formed one; 0 if none.
            critic: the critic's probability of malformed; without it the detector's score is returned.
        """
        if critic is None or part not in self.weights:
            return malformed
        by = self.weights[part]
        odds = (
            by.malformed * log_odds(malformed)
            + by.well_formed * log_odds(well_formed)
            + by.critic * log_odds(critic)
            + by.bias
        )
        return 1 / (1 + math.exp(-odds))

    def reconsidered(
        self, image: Image, found: Detections, class_names: Sequence[str], critic: Critic
    ) -> Detections:
        """Replaces the malformed detections by one row for each part, with the fused score.

        Args:
            image: uint8 RGB (H, W, 3).
            found: the detector's detections, with ``FUSION_LEAST_CONF`` or more.
            class_names: class name by ``class_id``.
            critic: scores the crop of every part.

        Returns:
            The new rows; those of other classes and of well-formed parts are unchanged.
        """
        names = [class_names[i] for i in found.class_id]
        doubted = [is_malformed(name) and part_of(name) in self.weights for name in names]
        xyxy, conf, class_id = [], [], []
        for part in self.weights:
            malformed_id = class_names.index(malformed_class(part))
            seen = places(found[[part_of(name) == part for name in names]], malformed_id)
            crops = [critic.crop(image, boxes.whole(place.xyxy)) for place in seen]
            for place, word in zip(seen, critic.malformed(crops, [part] * len(crops)), strict=True):
                xyxy.append(place.xyxy)
                conf.append(self.score(part, place.malformed, place.well_formed, word))
                class_id.append(malformed_id)
        kept = found[~np.array(doubted, bool)]
        return Detections.of(
            np.concatenate([kept.xyxy, np.array(xyxy, np.float32).reshape(-1, 4)]),
            np.concatenate([kept.conf, np.array(conf, np.float32)]),
            np.concatenate([kept.class_id, np.array(class_id, np.int64)]),
        )


@dataclass(frozen=True, slots=True)
class PlaceScores:
    """One part found by the detector: its box and its best score for either class."""

    xyxy: Sequence[float]
    malformed: float
    well_formed: float


def places(found: Detections, malformed_id: int) -> list[PlaceScores]:
    """Groups the detections of one kind of part; overlapping boxes are one part, the highest score first.

    The box is the malformed one where that score alone makes it a part: a doubled limb needs the loose box.
    """
    left, taken = found.by_confidence(), list[PlaceScores]()
    while len(left) and left.conf[0] >= PLACE_CONF:
        same = boxes.iou(left.xyxy, left.xyxy[0])[:, 0] >= SAME_IOU
        here, left = left[same], left[~same]
        is_bad = here.class_id == malformed_id
        malformed, well_formed = (float(here.conf[rows].max(initial=0.0)) for rows in (is_bad, ~is_bad))
        surest = here[is_bad] if malformed >= PLACE_CONF else here
        taken.append(PlaceScores([float(v) for v in surest.xyxy[0]], malformed, well_formed))
    return taken


def log_odds(score: float) -> float:
    """Returns ln(p / (1 - p)) of a score, which is clamped away from 0 and 1 first."""
    held = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    return math.log(held / (1 - held))
