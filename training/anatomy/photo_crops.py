"""Square pictures cut from photographs around a labelled hand, and written with YOLO labels.

Images are uint8 RGB (H, W, 3), boxes float32 (N, 4), xyxy in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.anatomy.photo_layers import Rng
from training.anatomy.photo_masks import Image

Box = NDArray[np.float32]

FILL = (0.35, 0.95)
"""The share of the picture's side that the hand's box takes up."""
MIN_VISIBLE = 0.6
PNG_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A finished crop: image uint8 RGB (px, px, 3), boxes float32 (N, 4) in its pixels, class ids (N,)."""

    image: Image
    boxes: Box
    classes: NDArray[np.int64]


def choose_crop(boxes: Box, main: int, size_hw: tuple[int, int], rng: Rng) -> tuple[int, int, int] | None:
    """A square around the main hand that cuts no other badly: x0, y0, side. It may pass the image's edge."""
    height, width = size_hw
    box = boxes[main]
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    for _ in range(60):
        side = longer / float(rng.uniform(*FILL))
        side = int(min(side, max(min(height, width), longer / FILL[1] + 1)))
        corner: list[int] = []
        for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height)):
            if limit <= side:
                corner.append(-((side - limit) // 2))
            else:
                start, stop = max(0.0, float(high) - side), min(float(low), limit - side)
                corner.append(int(min(start, stop) + rng.random() * max(0.0, stop - start)))
        seen = visible_share(boxes, (corner[0], corner[1], side))
        if seen[main] > 0.97 and not ((seen > 0.02) & (seen < MIN_VISIBLE)).any():
            return corner[0], corner[1], side
    return None


def visible_share(boxes: Box, crop: tuple[int, int, int]) -> NDArray[np.float32]:
    """The share of each box's area inside the crop, (N,)."""
    low = np.array([crop[0], crop[1]], np.float32)
    inner = np.minimum(boxes[:, 2:], low + crop[2]) - np.maximum(boxes[:, :2], low)
    return np.asarray(
        np.clip(inner, 0, None).prod(axis=1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6),
        np.float32,
    )


def take_crop(
    image: Image, boxes: Box, classes: NDArray[np.int64], main: int, px: int, rng: Rng
) -> Picture | None:
    """A square around the main hand with all hands in it labelled; None if every crop cuts another hand."""
    crop = choose_crop(boxes, main, image.shape[:2], rng)
    if crop is None:
        return None
    x0, y0, side = crop
    canvas = np.full((side, side, 3), 114, np.uint8)
    part = image[max(0, y0) : y0 + side, max(0, x0) : x0 + side]
    top, left = max(0, -y0), max(0, -x0)
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    how = cv2.INTER_AREA if side > px else cv2.INTER_CUBIC
    keep = visible_share(boxes, crop) >= MIN_VISIBLE
    moved = np.clip((boxes[keep] - np.array([x0, y0, x0, y0], np.float32)) * (px / side), 0, px)
    return Picture(
        np.asarray(cv2.resize(canvas, (px, px), interpolation=how), np.uint8),
        moved.astype(np.float32),
        classes[keep],
    )


def write_picture(picture: Picture, folder: Path, name: str, rng: Rng) -> None:
    """Writes ``images/<name>.jpg`` or ``.png`` and the YOLO labels."""
    bgr = np.ascontiguousarray(picture.image[..., ::-1])
    if rng.random() < PNG_SHARE:
        cv2.imwrite(str(folder / "images" / f"{name}.png"), bgr)
    else:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(88, 98))]
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), bgr, quality)
    px = picture.image.shape[0]
    rows = []
    for box, kind in zip(picture.boxes / px, picture.classes, strict=True):
        centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        rows.append(f"{kind} {centre[0]:.6f} {centre[1]:.6f} {extent[0]:.6f} {extent[1]:.6f}\n")
    (folder / "labels" / f"{name}.txt").write_text("".join(rows))
