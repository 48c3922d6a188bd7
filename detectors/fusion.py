"""Two looks made one: the detector's two scores for a part and the critic's probability, by regression.

The detector sees the whole picture, the critic one crop; they err in different places. That the detector
finds no well-formed part where it faintly finds a malformed one says as much as the score for malformed
itself (``docs/decisions/0011``; late fusion of scores by logistic regression).
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
"""Below this no model's score says anything more."""
FUSION_LEAST_CONF = 0.01
PLACE_CONF = 0.25
"""A part is there from this score on, well-formed or malformed."""
SAME_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Weights:
    """Of one body part: what the log-odds of each score are multiplied by, and what is added."""

    malformed: float
    well_formed: float
    critic: float
    bias: float


@dataclass(frozen=True, slots=True)
class Fusion:
    """Fitted weights, by body part. A part without any keeps the detector's score."""

    weights: Mapping[str, Weights]

    def score(self, part: str, malformed: float, well_formed: float, critic: float | None) -> float:
        """Probability in (0, 1) that a part is malformed.

        Args:
            part: which body part.
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
        """The detections with one row for "malformed" at each part, its score the one of both looks.

        Args:
            image: uint8 RGB (H, W, 3).
            found: what the detector saw in it, from ``FUSION_LEAST_CONF`` on.
            class_names: class name by ``class_id``.
            critic: shown every part.

        Returns:
            Rows of other classes, and of well-formed parts, as they were.
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
    """One part as the detector sees it: its box, and its best score for either class."""

    xyxy: Sequence[float]
    malformed: float
    well_formed: float


def places(found: Detections, malformed_id: int) -> list[PlaceScores]:
    """The parts among detections of one kind of part, the surest first; boxes on each other are one part.

    The box is that of the malformed one where that alone makes it a part: a doubled limb needs the loose box.
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
    """ln(p / (1 - p)), of a score held within what says something."""
    held = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    return math.log(held / (1 - held))
