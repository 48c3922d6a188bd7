"""Arithmetic on xyxy boxes: half-open, in full-image pixels, one per row. Only numpy is needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.detections import Box

Boxes = NDArray[np.float64]
"""float64, shape (N, 4)."""


def as_boxes(xyxy: ArrayLike) -> Boxes:
    """Returns one box or many as rows of a float64 array of shape (N, 4)."""
    return np.asarray(xyxy, np.float64).reshape(-1, 4)


def whole(xyxy: ArrayLike) -> Box:
    """Rounds one box to whole pixels, at least one wide and high."""
    x1, y1, x2, y2 = (round(float(value)) for value in np.asarray(xyxy))
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)


def area(xyxy: ArrayLike) -> NDArray[np.float64]:
    """Returns the area of each box in square pixels, shape (N,); 0 for a box with negative sides."""
    boxes = as_boxes(xyxy)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Returns the area that each box of ``a`` (N) shares with each of ``b`` (M), shape (N, M)."""
    first, second = as_boxes(a)[:, None], as_boxes(b)[None, :]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    sides = np.clip(high - low, 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Returns the intersection over union of each pair, shape (N, M), in [0, 1]; 0 where both are empty."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def containment(inner: ArrayLike, outer: ArrayLike) -> NDArray[np.float64]:
    """Returns the share of each ``inner`` box (N) in each ``outer`` box (M), shape (N, M), in [0, 1]."""
    shared = intersection(inner, outer)
    whole = np.broadcast_to(area(inner)[:, None], shared.shape)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def contains_centre(outer: ArrayLike, inner: ArrayLike) -> NDArray[np.bool_]:
    """Tests if the centre of each ``inner`` box (M) lies in each ``outer`` box (N), shape (N, M)."""
    frames, boxes = as_boxes(outer)[:, None], as_boxes(inner)[None, :]
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    inside = (frames[..., :2] <= centres) & (centres < frames[..., 2:])
    return np.asarray(inside.all(axis=-1))


def clip(xyxy: ArrayLike, size_hw: tuple[int, int]) -> Boxes:
    """Clips boxes to an image of ``size_hw`` pixels: float64 (N, 4)."""
    height, width = size_hw
    return np.asarray(np.clip(as_boxes(xyxy), 0.0, [width, height, width, height]))


def grow(xyxy: ArrayLike, by_px: float | ArrayLike) -> Boxes:
    """Enlarges boxes by ``by_px`` pixels on each side (one number, or one for each box): float64 (N, 4)."""
    margin = np.reshape(np.asarray(by_px, np.float64), (-1, 1))
    return np.asarray(as_boxes(xyxy) + margin * np.array([-1.0, -1.0, 1.0, 1.0]))


def diagonal(xyxy: ArrayLike) -> NDArray[np.float64]:
    """Returns the length of each box's diagonal in pixels, shape (N,)."""
    boxes = as_boxes(xyxy)
    return np.asarray(np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]))


def enclosing(xyxy: ArrayLike) -> Boxes:
    """Returns the smallest box around all boxes, shape (1, 4).

    Raises:
        ValueError: there is no box.
    """
    boxes = as_boxes(xyxy)
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]


def groups(xyxy: ArrayLike, least_iou: float) -> list[NDArray[np.int64]]:
    """Groups boxes into chains in which each next pair has an IoU of ``least_iou`` or more.

    Returns:
        Row numbers by group; the groups in the order of their first row, rows ascending.
    """
    near = iou(xyxy, xyxy) >= least_iou
    left = set(range(len(near)))
    found = []
    while left:
        group, edge = set[int](), {min(left)}
        while edge:
            group |= edge
            edge = {int(j) for i in edge for j in np.flatnonzero(near[i])} - group
        left -= group
        found.append(np.array(sorted(group), np.int64))
    return found


def merge(xyxy: ArrayLike, least_iou: float) -> Boxes:
    """Returns one enclosing box for each group of boxes (see ``groups``)."""
    boxes = as_boxes(xyxy)
    merged = [enclosing(boxes[rows]) for rows in groups(boxes, least_iou)]
    return np.concatenate(merged) if merged else boxes
