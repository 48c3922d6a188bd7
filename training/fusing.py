"""Fits how the detector's and the critic's scores become one, on pictures labelled by eye.

``python -m training.thresholds --detector models/detector --critic models/critic --own DIR`` does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from detectors.critic import CropCritic
from detectors.fusion import Fusion, Weights, log_odds
from detectors.protocols import Detector
from service.repair.calibration import FusedCalibration
from training.labelled import Seen, by_both, by_critic, by_detector


def fit(scores: NDArray[np.float32], malformed: Sequence[bool]) -> Weights:
    """Weights for one part, by logistic regression; malformed ones in all weigh as much as the others.

    Args:
        scores: (N, 3): the detector's for malformed and for well-formed, and the critic's.
        malformed: the truth, with at least one of each.
    """
    odds = np.array([[log_odds(float(score)) for score in row] for row in scores])
    fitted = LogisticRegression(class_weight="balanced").fit(odds, np.array(malformed))
    by = [round(float(weight), 3) for weight in (*fitted.coef_[0], fitted.intercept_[0])]
    return Weights(*by)


def choose_fused(
    detector: Detector, critic: CropCritic, seen: Sequence[Seen], alarms: float
) -> FusedCalibration:
    """Weights by part, and the least fused score that at most such a share of its well-formed parts reaches.

    Args:
        detector: finds.
        critic: has a word in it.
        seen: labelled parts.
        alarms: share of the well-formed ones, for each part.
    """
    detected, asked = by_detector(detector, seen), by_critic(critic, seen)
    scores = np.column_stack([detected, asked])
    weights, conf = dict[str, Weights](), dict[str, float]()
    for part in sorted({one.part for one in seen}):
        rows = [i for i, one in enumerate(seen) if one.part == part]
        truth = np.array([seen[i].malformed for i in rows])
        weights[part] = fit(scores[rows], truth.tolist())
        of_part = [seen[i] for i in rows]
        fused = by_both(Fusion({part: weights[part]}), of_part, detected[rows], asked[rows])
        least = round(float(np.quantile(fused[~truth], 1 - alarms, method="higher")) + 0.005, 2)
        conf[f"malformed_{part}"] = least
        recalled, alarmed = ((fused[some] >= least).mean() for some in (truth, ~truth))
        print(f"fused {part}: {weights[part]}, {least}: {recalled:.0%} recalled, {alarmed:.0%} alarmed")
    return FusedCalibration(conf=conf, fusion=Fusion(weights), critic=critic.model_id)
