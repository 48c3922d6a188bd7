"""Windows on parts, with what is repainted in them: what the inpainter is trained on.

They are cut as ``service.repair`` cuts them, at more scales and with looser boxes, so that the service may
change its mind about both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import boxes, masks
from detectors.detections import Image, Mask
from service.repair.window import Framing, window_around

CELL_PX = 8
CONTEXTS = {"hand": (1.6, 2.8), "limb": (1.3, 3.2)}
LEAST_SHARES = (0.3, 0.6)
"""Of the model's own side, so that a small part is enlarged two or three times."""
MARGINS = (0.05, 0.15)
"""Of the box's diagonal: how far what is repainted reaches beyond the box."""
LOOSE, TWO_PARTS, A_PIECE = 0.4, 0.25, 0.3
"""Odds of a box that is too large, of one around two parts, and of one around a piece of a part."""
SOFT = 0.3
"""Odds of a blur over everything: pictures that were generated are softer than renders."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """uint8 RGB (side, side, 3), and what is repainted of it: float32 of 0 and 1 in cells of 8 px."""

    picture: Image
    repainted: Mask


def cut_part(
    picture: NDArray[np.uint8], parts: list[dict[str, Any]], which: int, rng: np.random.Generator
) -> Cut:
    """A window on part ``which`` of a picture uint8 RGB (H, W, 3), at a random scale, mirrored or not."""
    height, width = picture.shape[:2]
    part = parts[which]
    wanted = _box_to_repaint(parts, which, rng)
    margin = rng.uniform(*MARGINS) * float(boxes.diagonal(wanted)[0])
    held = masks.rounded_out(boxes.grow(wanted, margin)[0], (height, width))
    box = masks.rounded_out(wanted, (height, width))
    framing = Framing(rng.uniform(*CONTEXTS[part["class_name"]]), rng.uniform(*LEAST_SHARES))
    window = window_around(box, held, (height, width), width, framing)
    canvas = window.cut(picture)
    repainted = masks.snap_to_cells(window.cut_mask(masks.box_mask(held, (height, width))), CELL_PX)
    if rng.random() < SOFT:
        canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.6)), np.uint8)
    if rng.random() < 0.5:
        canvas, repainted = canvas[:, ::-1], repainted[:, ::-1]
    return Cut(np.ascontiguousarray(canvas), np.ascontiguousarray(repainted, np.float32))


def _box_to_repaint(parts: list[dict[str, Any]], which: int, rng: np.random.Generator) -> NDArray[np.float64]:
    box = np.array(parts[which]["xyxy"], np.float64)
    if rng.random() < A_PIECE:
        return _piece(box, rng)
    others = [part["xyxy"] for i, part in enumerate(parts) if i != which]
    if others and rng.random() < TWO_PARTS:
        away = np.abs(_middles(others) - _middles([box])).sum(axis=1)
        box = boxes.enclosing([box, others[int(away.argmin())]])[0]
    if rng.random() < LOOSE:
        sides = np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
        box = box + rng.uniform(0, 0.4, 4) * sides
    return box


def _piece(box: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A slab across the box, at least 0.4 of its length."""
    low, high = np.sort(rng.uniform(0, 1, 2))
    low, high = min(low, 0.6), max(high, low + 0.4)
    axis = int(rng.integers(2))
    start, length = box[axis], box[axis + 2] - box[axis]
    piece = box.copy()
    piece[[axis, axis + 2]] = start + low * length, start + high * length
    return piece


def _middles(xyxy: Any) -> NDArray[np.float64]:
    """The centres of boxes, (N, 2)."""
    return (boxes.as_boxes(xyxy)[:, :2] + boxes.as_boxes(xyxy)[:, 2:]) / 2
