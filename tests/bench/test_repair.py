from __future__ import annotations

import numpy as np

from bench.repair import HEADER, Tally, changed_outside
from service.core.regions import Region
from service.core.report import Outcome, RegionOutcome, RepairReport


def report(accepted: bool, changed_at: tuple[int, int]) -> RepairReport:
    before = np.zeros((10, 10, 3), np.uint8)
    after = before.copy()
    after[changed_at] = 255
    mask = np.zeros((10, 10), np.float32)
    mask[2:5, 2:5] = 1.0
    region = Region(
        xyxy=(2, 2, 5, 5), class_name="malformed_hand", conf=0.9, denoise_mask=mask, composite_mask=mask
    )
    outcome = RegionOutcome(region=region, attempts=(), accepted=accepted, reason="", conf_after=0.1)
    return RepairReport(
        image=after,
        original=before,
        seed=0,
        outcome=Outcome.REPAIRED,
        regions=(outcome,),
        models={},
        timings_s={},
    )


def test_pixels_under_an_accepted_mask_may_change_and_others_are_counted() -> None:
    assert changed_outside(report(True, (3, 3))) == 0
    assert changed_outside(report(True, (8, 8))) == 1


def test_the_mask_of_a_refused_repair_excuses_nothing() -> None:
    assert changed_outside(report(False, (3, 3))) == 1


def test_an_arm_has_a_cell_under_every_heading() -> None:
    assert len(Tally().row("x")) == len(HEADER)
