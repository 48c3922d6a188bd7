"""Tests how the detector's and the critic's scores become one."""

from __future__ import annotations

import numpy as np

from detectors.fusion import Fusion
from tests.fakes import ColourCritic, ColourDetector, picture
from training.fusing import choose_fused, fit
from training.labelled import Seen, by_both

BOX = (30, 30, 60, 60)


def scores(rng: np.random.Generator, count: int, malformed: bool) -> np.ndarray:
    """Scores of one kind: the detector tells little, the critic more."""
    centres = (0.4, 0.5, 0.8) if malformed else (0.3, 0.6, 0.2)
    return np.clip(rng.normal(centres, 0.15, (count, 3)), 0.01, 0.99).astype(np.float32)


def test_the_weights_follow_who_tells_more_and_either_kind_weighs_the_same():
    rng = np.random.default_rng(0)
    some = np.concatenate([scores(rng, 300, True), scores(rng, 30, False)])
    truth = [True] * 300 + [False] * 30
    weights = fit(some, truth)
    assert weights.critic > weights.malformed > 0 > weights.well_formed
    fusion = Fusion({"hand": weights})
    told = np.array([fusion.score("hand", *map(float, row)) > 0.5 for row in some])
    assert told[:300].mean() > 0.9 and (~told[300:]).mean() > 0.9


def test_the_threshold_holds_the_share_of_false_alarms():
    """Every fifth well-formed hand looks bad to the critic."""
    bad, good = picture(("malformed_hand", BOX)), picture(("hand", BOX))
    odd = good.copy()
    odd[40:44, 40:44] = (20, 230, 40)
    seen = [Seen(bad, "hand", BOX, malformed=True)] * 20
    seen += [Seen(odd if i % 5 == 0 else good, "hand", BOX, malformed=False) for i in range(20)]

    def critic(crop: np.ndarray) -> float:
        return 0.9 if (crop[..., 0] > 200).any() else 0.6 if (crop[..., 2] == 40).any() else 0.1

    fused = choose_fused(ColourDetector(), ColourCritic(critic), seen, alarms=0.2)
    told = by_both(
        fused.fusion,
        seen,
        np.array([[0.9, 0.0]] * 20 + [[0.0, 0.9]] * 20, np.float32),
        np.array([0.9] * 20 + [0.6 if i % 5 == 0 else 0.1 for i in range(20)], np.float32),
    )
    over = told >= fused.conf["malformed_hand"]
    assert fused.critic == "critic@1"
    assert over[:20].all() and over[20:].mean() <= 0.2
