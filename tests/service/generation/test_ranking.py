"""Which candidate comes first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from detectors.detections import Detections, Image
from service.core.params import RepairParams
from service.generation.ranking import Rank, rank
from service.repair.calibration import Calibration
from service.repair.inspection import Inspector

NAMES = ("hand", "malformed_hand")
BOX = [8.0, 8.0, 40.0, 40.0]


class Tells:
    """Sees the same in every picture: (class, score) pairs in one box."""

    model_id, class_names = "tells@1", NAMES
    default_conf = dict.fromkeys(NAMES, 0.4)

    def __init__(self, *seen: tuple[int, float]) -> None:
        self.seen = seen

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        kept = [(i, c) for i, c in self.seen if c >= conf]
        found = Detections.of([BOX for _ in kept], [c for _, c in kept], [i for i, _ in kept])
        return [found for _ in images]


def badness(*seen: tuple[int, float]) -> tuple[object, ...]:
    tells = Tells(*seen)
    blank = np.zeros((64, 64, 3), np.uint8)
    return rank(
        blank,
        Inspector(detector=tells, critic=None, native_px=64, calibration=Calibration(tells.default_conf)),
        RepairParams(),
    ).badness


WORSE_AND_WORSE = {
    "well-formed": [(0, 0.9)],
    "well-formed, with a doubt": [(0, 0.9), (1, 0.2)],
    "malformed": [(1, 0.6)],
    "more malformed": [(1, 0.9)],
    "nothing that could be malformed": [],
}


@pytest.mark.parametrize("place", range(len(WORSE_AND_WORSE) - 1))
def test_the_order_of_candidates(place: int):
    better, worse = list(WORSE_AND_WORSE.values())[place : place + 2]
    assert badness(*better) < badness(*worse)


def test_fewer_places_come_before_a_less_bad_one_and_doubts_add_up():
    one_bad = Rank(conf=0.9, expected=0.9, critic=None, defects=1, passes=0)
    two_doubtful = Rank(conf=0.6, expected=1.2, critic=None, defects=2, passes=0)
    two_worse = Rank(conf=0.6, expected=1.1, critic=None, defects=2, passes=0)
    ranks = [two_doubtful, one_bad, two_worse]
    assert sorted(ranks, key=lambda seen: seen.badness) == [one_bad, two_worse, two_doubtful]
