"""Sheets for people: a picture before, with boxes, and after, side by side, and a line for each box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from detectors.body_parts import is_malformed
from detectors.detections import Detections, Image
from service.core.report import RegionOutcome, RepairReport

MIN_PANEL_PX = 256
MAX_PANEL_PX = 640
_MARGIN_PX = 12
_TEXT_PX = 14
_LINE_PX = 18
_GAP_PX = 4
PAPER = (250, 250, 248)
INK = (30, 30, 30)

Colour = tuple[int, int, int]
# From the palette of Okabe and Ito, which people with any colour vision can tell apart.
GREEN: Colour = (0, 158, 115)
VERMILION: Colour = (213, 94, 0)
_BLUE: Colour = (0, 114, 178)


@dataclass(frozen=True, slots=True)
class _Box:
    """A box in the picture's pixels, its number there, and the line about it below."""

    xyxy: tuple[float, float, float, float]
    number: int
    line: str
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
    """Draws a row per report: before, numbered boxes, after; below them class, scores and verdict of each.

    Green is repaired, vermilion is unchanged. Returns uint8 RGB (H, W, 3).
    """
    return _draw([_report_row(report) for report in reports])


def detection_sheet(image: Image, seen: Detections, class_names: Sequence[str]) -> Image:
    """Draws a picture, and beside it the picture with its detections: vermilion malformed, blue well-formed.

    Returns uint8 RGB (H, W, 3).
    """
    boxes = tuple(
        _Box(
            (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            number,
            f"{class_names[class_id]} {conf:.2f}",
            VERMILION if is_malformed(class_names[class_id]) else _BLUE,
        )
        for number, (box, conf, class_id) in enumerate(zip(seen.xyxy, seen.conf, seen.class_id, strict=True))
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
        verdict = f"{region.conf:.2f}, {outcome.reason}"
    colour = GREEN if outcome.accepted else VERMILION
    return _Box(region.xyxy, region.number, f"{region.class_name} {verdict}", colour)


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
    boxes = [box for panel in row.panels for box in panel.boxes]
    width = sum(panel.width + _MARGIN_PX for panel in panels) + _MARGIN_PX
    head = _MARGIN_PX + 2 * _LINE_PX
    foot = head + panels[0].height + _MARGIN_PX // 2
    height = foot + len(boxes) * (_LINE_PX + _GAP_PX) + _MARGIN_PX // 2
    drawn = Pillow.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(drawn)
    font = _font()
    pen.text((_MARGIN_PX, _MARGIN_PX // 2), _fitted(row.caption, font, width - 2 * _MARGIN_PX), INK, font)
    left = _MARGIN_PX
    for panel, picture in zip(row.panels, panels, strict=True):
        pen.text((left, head - _LINE_PX), panel.title, INK, font)
        drawn.paste(picture, (left, head))
        left += picture.width + _MARGIN_PX
    for index, box in enumerate(boxes):
        top = foot + index * (_LINE_PX + _GAP_PX)
        chip = _draw_chip(pen, box, (_MARGIN_PX, top))
        room = width - chip[2] - 2 * _MARGIN_PX
        pen.text((chip[2] + _MARGIN_PX // 2, top), _fitted(box.line, font, room), INK, font)
    return drawn


def _draw_panel(panel: _Panel) -> Pillow.Image:
    scale = _scale(panel.image)
    picture = Pillow.fromarray(panel.image)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    # Enlarged by whole numbers without interpolation, so that no new details appear.
    picture = picture.resize(size, Pillow.Resampling.NEAREST if scale > 1 else Pillow.Resampling.LANCZOS)
    # A very narrow picture gets a panel in which its numbers can be read.
    canvas = Pillow.new("RGB", (max(size[0], MIN_PANEL_PX), max(size[1], 2 * _LINE_PX)), PAPER)
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
    scaled = [[side * scale for side in box.xyxy] for box in boxes]
    for box, (x1, y1, x2, y2) in zip(boxes, scaled, strict=True):
        # Half-open boxes: the last row and column of pixels lie inside.
        corners = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
        pen.rectangle(corners, outline=(255, 255, 255), width=4)
        pen.rectangle(corners, outline=box.colour, width=2)
    taken: list[Sequence[float]] = []
    for box, corners_xyxy in zip(boxes, scaled, strict=True):
        size_wh = _chip_wh(box.number)
        taken.append(_draw_chip(pen, box, _place(corners_xyxy, size_wh, canvas.size, taken)))


def _chip_wh(number: int) -> tuple[float, float]:
    return max(_LINE_PX, _font().getlength(str(number)) + 8), _LINE_PX


def _draw_chip(
    pen: ImageDraw.ImageDraw, box: _Box, at: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Draws a box's number on its colour; returns the number's rectangle."""
    width, height = _chip_wh(box.number)
    plate = (at[0], at[1], at[0] + width, at[1] + height)
    pen.rectangle(plate, fill=box.colour)
    middle = at[0] + width / 2, at[1] + height / 2
    pen.text(middle, str(box.number), (255, 255, 255), _font(), anchor="mm")
    return plate


def _place(
    box: Sequence[float],
    size_wh: tuple[float, float],
    canvas_wh: tuple[int, int],
    taken: Sequence[Sequence[float]],
) -> tuple[float, float]:
    """Returns the place for a number: above, below or inside its box, left or right; the first free one."""
    width, height = size_wh
    places = []
    outside = [top for top in (box[1] - height, box[3]) if 0 <= top < canvas_wh[1] - height]
    for top in (*outside, box[1], box[3] - height):
        for side in (box[0], box[2] - width):
            x = min(max(side, 0.0), max(0.0, canvas_wh[0] - width - 1))
            y = min(max(top, 0.0), max(0.0, canvas_wh[1] - height - 1))
            places.append((x, y))
    free = [p for p in places if not any(_overlap((*p, p[0] + width, p[1] + height), t) for t in taken)]
    return (free or places)[0]


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: float) -> str:
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}...") > width_px:
        text = text[:-1]
    return f"{text}..."


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT_PX)
