from __future__ import annotations

import numpy as np
import pytest

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections
from service.core.report import Outcome
from service.core.requests import RepairRequest
from service.images.report_sheet import MAX_PANEL_PX, MIN_PANEL_PX, detection_sheet, repair_sheet
from tests.service.scripted import ScriptedEngine, noise


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 200), (256, 256), (1, 3000), (1500, 900)])
@pytest.mark.parametrize("outcome", [Outcome.CLEAN, Outcome.REPAIRED, Outcome.UNREPAIRED])
def test_pictures_of_any_size(size_hw, outcome):
    report = ScriptedEngine(outcome).repair(RepairRequest(image=noise(size_hw)))
    sheet = repair_sheet([report, report])
    assert sheet.dtype == np.uint8
    height, width, _ = sheet.shape
    assert 3 * MIN_PANEL_PX < width < 3 * MAX_PANEL_PX + 100
    assert height < 2 * (MAX_PANEL_PX + 100)


def test_a_small_picture_is_shown_pixel_by_pixel():
    image = noise((64, 64))
    report = ScriptedEngine(Outcome.REPAIRED).repair(RepairRequest(image=image))
    sheet = repair_sheet([report])
    shown = np.repeat(np.repeat(image, 4, 0), 4, 1)
    top, left = 12 + 2 * 18, 12
    assert np.array_equal(sheet[top : top + 256, left : left + 256], shown)


def test_what_is_told_of_a_box_stands_below_and_covers_nothing():
    image = np.zeros((300, 300, 3), np.uint8)
    one, none = (
        repair_sheet([ScriptedEngine(outcome).repair(RepairRequest(image=image))])
        for outcome in (Outcome.REPAIRED, Outcome.CLEAN)
    )
    assert one.shape[0] == none.shape[0] + 22 and one.shape[1] == none.shape[1]
    boxes = one[48:348, 2 * 12 + 300 : 2 * 12 + 600]
    assert (boxes == 0).all(-1).mean() > 0.9


def test_verdicts_have_colours_of_their_own():
    sheets = [
        repair_sheet([ScriptedEngine(outcome).repair(RepairRequest(image=np.zeros((300, 300, 3), np.uint8)))])
        for outcome in (Outcome.REPAIRED, Outcome.UNREPAIRED)
    ]
    for sheet, present, absent in zip(
        sheets, [(0, 158, 115), (213, 94, 0)], [(213, 94, 0), (0, 158, 115)], strict=True
    ):
        assert (sheet == present).all(-1).sum() > 500
        assert not (sheet == absent).all(-1).any()


def test_what_was_seen():
    seen = Detections.of([[0, 0, 9, 9], [5, 5, 40, 40]], [0.9, 0.4], [1, 0])
    sheet = detection_sheet(noise((40, 40)), seen, CLASS_NAMES)
    for colour in ((213, 94, 0), (0, 114, 178)):
        assert (sheet == colour).all(-1).any()
    assert detection_sheet(noise((40, 40)), Detections.empty(), CLASS_NAMES).shape[2] == 3
