"""Masks from boxes and painted areas. 1 = repaint, everywhere in the project.

Every function writes only where the mask is not 0, so that a mask of a very large picture
costs the memory of its region and not of the picture.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from detectors.detections import PAINTED, Box, Mask


def rounded_out(xyxy: np.ndarray, size_hw: tuple[int, int]) -> Box:
    """Returns the smallest box of whole pixels around ``xyxy``, inside the image, at least 1 px each way."""
    height, width = size_hw
    x1, y1, x2, y2 = (float(value) for value in np.asarray(xyxy).reshape(4))
    left = min(max(math.floor(x1), 0), width - 1)
    top = min(max(math.floor(y1), 0), height - 1)
    return left, top, max(min(math.ceil(x2), width), left + 1), max(min(math.ceil(y2), height), top + 1)


def box_mask(box: Box, size_hw: tuple[int, int]) -> Mask:
    """Returns a mask of shape ``size_hw``: 1 inside the box, 0 elsewhere."""
    x1, y1, x2, y2 = box
    mask = np.zeros(size_hw, np.float32)
    mask[y1:y2, x1:x2] = 1.0
    return mask


def bounds(mask: Mask) -> Box | None:
    """Returns the tight box around all pixels above 0; None if there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grow(mask: Mask, by_px: int) -> Mask:
    """Dilates a mask: a binary mask of all pixels within ``by_px`` (round) of a pixel above 0."""
    box = bounds(mask)
    if box is None or by_px <= 0:
        return (mask > 0).astype(np.float32)
    x1, y1, x2, y2 = rounded_out(np.add(box, [-by_px, -by_px, by_px, by_px]), mask.shape[:2])
    outside = (mask[y1:y2, x1:x2] <= 0).astype(np.uint8)
    grown = np.zeros(mask.shape, np.float32)
    grown[y1:y2, x1:x2] = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= by_px
    return grown


def feather(mask: Mask, width_px: int) -> Mask:
    """Gives a mask a soft edge of ``width_px`` that falls *inwards*, so that no pixel of 0 rises.

    The edge is narrower where the room is too small, so that the middle is always 1. The image's own
    border is not an edge: a mask that touches it stays 1 there.
    """
    box = bounds(mask)
    if box is None or width_px <= 0:
        return (mask > 0).astype(np.float32)
    reach = width_px + 2
    x1, y1, x2, y2 = rounded_out(np.add(box, [-reach, -reach, reach, reach]), mask.shape[:2])
    inside = (mask[y1:y2, x1:x2] > 0).astype(np.uint8)
    # Only a side where the window ends at the image's border may be continued outwards.
    pads = (y1 == 0, y2 == mask.shape[0], x1 == 0, x2 == mask.shape[1])
    top, bottom, left, right = (reach if at_border else 0 for at_border in pads)
    padded = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)
    if padded.all():
        return (mask > 0).astype(np.float32)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    soft = np.zeros(mask.shape, np.float32)
    distance = distance[top : top + y2 - y1, left : left + x2 - x1]
    full_px = min(width_px + 1.0, float(distance.max()))
    soft[y1:y2, x1:x2] = np.clip(distance / full_px, 0.0, 1.0)
    return soft


def snap_to_cells(mask: Mask, cell_px: int) -> Mask:
    """Extends a mask to whole latent cells: each ``cell_px`` square with a pixel above 0 becomes 1.

    A latent cell can only be repainted or kept as a whole.
    """
    height, width = mask.shape
    rows, columns = -(-height // cell_px), -(-width // cell_px)
    padded = np.zeros((rows * cell_px, columns * cell_px), bool)
    padded[:height, :width] = mask > 0
    cells = padded.reshape(rows, cell_px, columns, cell_px).any(axis=(1, 3))
    whole = np.repeat(np.repeat(cells, cell_px, axis=0), cell_px, axis=1)
    return whole[:height, :width].astype(np.float32)


def count_components(mask: Mask, threshold: float = PAINTED) -> int:
    """Counts the connected painted areas (8-neighbours)."""
    return int(cv2.connectedComponents((mask >= threshold).astype(np.uint8))[0]) - 1


def components(mask: Mask, most: int, threshold: float = PAINTED) -> list[Mask]:
    """Returns the ``most`` largest connected painted areas (8-neighbours) as binary masks, largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask >= threshold).astype(np.uint8))
    order = sorted(range(1, count), key=lambda i: (-int(stats[i, cv2.CC_STAT_AREA]), i))
    found = []
    for label in order[:most]:
        x, y, w, h = (int(value) for value in stats[label, :4])
        part = np.zeros(mask.shape, np.float32)
        part[y : y + h, x : x + w] = labels[y : y + h, x : x + w] == label
        found.append(part)
    return found
