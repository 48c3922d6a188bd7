"""Views of a picture for the gate's detector: whole, close, compressed, reduced."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detectors.detections import Box, Detections, Image

JPEG_QUALITY = 90
REDUCTION = 0.9
LEAST_VIEW_PX, MOST_VIEW_PX = 320, 2048


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One view of a picture for the detector, and the mapping back to the picture's pixels.

    Attributes:
        image: uint8 RGB.
        box: box of the view in the picture.
        worn: True if the view was compressed or reduced.
    """

    image: Image
    box: Box
    worn: bool

    def to_picture(self, found: Detections) -> Detections:
        """Maps detections in the view to the picture's pixels."""
        x1, y1, x2, y2 = self.box
        height, width = self.image.shape[:2]
        scale = np.array([(x2 - x1) / width, (y2 - y1) / height] * 2)
        return Detections.of(found.xyxy * scale + [x1, y1, x1, y1], found.conf, found.class_id)


def views_of(image: Image, near: Box) -> list[View]:
    """Returns views of the picture, of its part around ``near``, and of that part compressed and reduced."""
    height, width = image.shape[:2]
    whole = (0, 0, width, height)
    box = _at_least(near, LEAST_VIEW_PX, width, height)
    x1, y1, x2, y2 = box
    close = _reduced(image[y1:y2, x1:x2], MOST_VIEW_PX / max(x2 - x1, y2 - y1))
    views = [View(image, whole, worn=False)]
    if box != whole:
        views.append(View(close, box, worn=False))
    return [
        *views,
        View(_through_jpeg(close), box, worn=True),
        View(_reduced(close, REDUCTION), box, worn=True),
    ]


def _at_least(box: Box, least_px: int, width: int, height: int) -> Box:
    def axis(low: int, high: int, length: int) -> tuple[int, int]:
        side = min(max(high - low, least_px), length)
        start = min(max((low + high - side) // 2, 0), length - side)
        return start, start + side

    (x1, x2), (y1, y2) = axis(box[0], box[2], width), axis(box[1], box[3], height)
    return x1, y1, x2, y2


def _reduced(image: Image, scale: float) -> Image:
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _through_jpeg(image: Image) -> Image:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
