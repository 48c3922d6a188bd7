"""A sheet of numbered before/after pairs, to be counted by eye beside the judge's figures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from detectors.detections import Image
from service.core.report import RepairReport
from service.images.report_sheet import GREEN, INK, PAPER, VERMILION

COLUMNS = 6
SIDE_PX = 160
LINE_PX = 16
GAP_PX = 8


def pairs_sheet(reports: Sequence[RepairReport]) -> Image:
    """Before and after side by side, boxes in the first; green was redrawn, vermilion was kept.

    Args:
        reports: in the order in which they came; they are numbered from 1.

    Returns:
        uint8 RGB (H, W, 3).
    """
    rows = -(-len(reports) // COLUMNS)
    wide, high = 2 * SIDE_PX + GAP_PX, SIDE_PX + LINE_PX + GAP_PX
    sheet = Pillow.new("RGB", (COLUMNS * wide, rows * high), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, report in enumerate(reports):
        x, y = index % COLUMNS * wide, index // COLUMNS * high
        draw.text((x + 2, y), f"{index + 1}  {report.outcome.value}, seed {report.seed}", INK, font)
        sheet.paste(Pillow.fromarray(_before(report)), (x, y + LINE_PX))
        sheet.paste(Pillow.fromarray(_small(report.image)), (x + SIDE_PX, y + LINE_PX))
    return np.asarray(sheet, np.uint8)


def _before(report: RepairReport) -> Image:
    small = _small(report.original).copy()
    scale = SIDE_PX / np.array(report.original.shape[1::-1] * 2)
    for outcome in report.regions:
        x1, y1, x2, y2 = (int(v) for v in np.asarray(outcome.region.xyxy) * scale)
        cv2.rectangle(small, (x1, y1), (x2, y2), GREEN if outcome.accepted else VERMILION, 1)
    return small


def _small(image: Image) -> Image:
    return np.asarray(cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
