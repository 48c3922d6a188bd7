"""A picture that tells what happened: before, boxes and after, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from detectors.detections import Detections, Image
from detectors.protocols import is_malformed
from service.report import RegionOutcome, RepairReport

MIN_PANEL_PX = 256
MAX_PANEL_PX = 640
_MARGIN_PX = 12
_TEXT_PX = 14
_LINE_PX = 18
PAPER = (250, 250, 248)
INK = (30, 30, 30)

Colour = tuple[int, int, int]
# From the palette of Okabe and Ito, which people with any colour vision can tell apart.
GREEN: Colour = (0, 158, 115)
VERMILION: Colour = (213, 94, 0)
_BLUE: Colour = (0, 114, 178)


@dataclass(frozen=True, slots=True)
class _Box:
    """A box in the picture's pixels, and the lines that stand by it."""

    xyxy: tuple[float, float, float, float]
    lines: tuple[str, ...]
    colour: Colour


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    title: str
    image: Image
    boxes: tuple[_Box, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    caption: str
    panels: tuple[_Panel, ...]


def repair_sheet(reports: Sequence[RepairReport]) -> Image:
    """One row per report: before, boxes with class, score and verdict, after.

    Green is repaired, vermilion is left as it was. Returns uint8 RGB (H, W, 3).
    """
    return _draw([_report_row(report) for report in reports])


def detection_sheet(image: Image, seen: Detections, class_names: Sequence[str]) -> Image:
    """The picture, and the picture with what was seen in it. Vermilion is malformed, blue is well-formed.

    Returns uint8 RGB (H, W, 3).
    """
    boxes = tuple(
        _Box(
            (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            (f"{class_names[class_id]} {conf:.2f}",),
            VERMILION if is_malformed(class_names[class_id]) else _BLUE,
        )
        for box, conf, class_id in zip(seen.xyxy, seen.conf, seen.class_id, strict=True)
    )
    return _draw([_Row(f"{len(seen)} seen", (_Panel("picture", image), _Panel("boxes", image, boxes)))])


def _report_row(report: RepairReport) -> _Row:
    boxes = tuple(_outcome_box(outcome) for outcome in report.regions)
    panels = (
        _Panel("before", report.original),
        _Panel("boxes", report.original, boxes),
        _Panel("after", report.image),
    )
    return _Row(f"{report.outcome.value}, seed {report.seed}", panels)


def _outcome_box(outcome: RegionOutcome) -> _Box:
    region = outcome.region
    if outcome.accepted:
        verdict = f"{region.conf:.2f} to {outcome.conf_after:.2f}, accepted"
    else:
        verdict = f"{region.conf:.2f}, kept: {outcome.reason}"
    return _Box(region.xyxy, (region.class_name, verdict), GREEN if outcome.accepted else VERMILION)


def _draw(rows: Sequence[_Row]) -> Image:
    drawn = [_draw_row(row) for row in rows]
    width = max(row.width for row in drawn)
    sheet = Pillow.new("RGB", (width, sum(row.height for row in drawn)), PAPER)
    top = 0
    for row in drawn:
        sheet.paste(row, (0, top))
        top += row.height
    return np.asarray(sheet)


def _draw_row(row: _Row) -> Pillow.Image:
    panels = [_draw_panel(panel) for panel in row.panels]
    width = sum(panel.width + _MARGIN_PX for panel in panels) + _MARGIN_PX
    head = _MARGIN_PX + 2 * _LINE_PX
    drawn = Pillow.new("RGB", (width, head + panels[0].height + _MARGIN_PX), PAPER)
    pen = ImageDraw.Draw(drawn)
    font = _font()
    pen.text((_MARGIN_PX, _MARGIN_PX // 2), _fitted(row.caption, font, width - 2 * _MARGIN_PX), INK, font)
    left = _MARGIN_PX
    for panel, picture in zip(row.panels, panels, strict=True):
        pen.text((left, head - _LINE_PX), panel.title, INK, font)
        drawn.paste(picture, (left, head))
        left += picture.width + _MARGIN_PX
    return drawn


def _draw_panel(panel: _Panel) -> Pillow.Image:
    scale = _scale(panel.image)
    picture = Pillow.fromarray(panel.image)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # Enlarged by whole numbers with its pixels kept, so that nothing is shown that is not there.
    picture = picture.resize(size, Pillow.Resampling.NEAREST if scale > 1 else Pillow.Resampling.LANCZOS)
    # A sliver of a picture gets a panel in which its labels can be read.
    canvas = Pillow.new("RGB", (max(size[0], MIN_PANEL_PX), max(size[1], 4 * _LINE_PX)), PAPER)
    canvas.paste(picture)
    _draw_boxes(canvas, panel.boxes, scale)
    return canvas


def _scale(image: Image) -> float:
    longest = int(max(image.shape[:2]))
    if longest > MAX_PANEL_PX:
        return MAX_PANEL_PX / longest
    return float(math.ceil(MIN_PANEL_PX / longest))


def _draw_boxes(canvas: Pillow.Image, boxes: Sequence[_Box], scale: float) -> None:
    pen = ImageDraw.Draw(canvas)
    font = _font()
    scaled = [[side * scale for side in box.xyxy] for box in boxes]
    for box, (x1, y1, x2, y2) in zip(boxes, scaled, strict=True):
        # Half-open boxes: the last row and column of pixels lie inside.
        corners = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
        pen.rectangle(corners, outline=(255, 255, 255), width=4)
        pen.rectangle(corners, outline=box.colour, width=2)
    taken: list[tuple[float, float, float, float]] = []
    for box, corners_xyxy in zip(boxes, scaled, strict=True):
        text = "\n".join(_fitted(line, font, canvas.width - 8) for line in box.lines)
        left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font)
        size_wh = right - left + 8, bottom - top + 6
        plate = _place(corners_xyxy, size_wh, canvas.size, taken)
        taken.append(plate)
        pen.rectangle(plate, fill=box.colour)
        pen.multiline_text((plate[0] + 4 - left, plate[1] + 3 - top), text, (255, 255, 255), font)


def _place(
    box: Sequence[float],
    size_wh: tuple[float, float],
    canvas_wh: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """Where a label goes: above its box, below it or inside; the first place that no other label has."""
    width, height = size_wh
    places = []
    outside = [top for top in (box[1] - height, box[3]) if 0 <= top < canvas_wh[1] - height]
    for top in (*outside, box[1], box[3] - height):
        x = min(max(box[0], 0.0), max(0.0, canvas_wh[0] - width - 1))
        y = min(max(top, 0.0), max(0.0, canvas_wh[1] - height - 1))
        places.append((x, y, x + width, y + height))
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}...") > width_px:
        text = text[:-1]
    return f"{text}..."


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_PX)
