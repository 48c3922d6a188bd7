"""A second look: whoever is small in a large picture is looked at again, from close by.

A detector sees a picture in a square of a few hundred pixels. A person who fills a sixth of it has hands of
eight pixels there, though the picture may show every finger. So the parts of the picture around people and
hands that a second look would show larger are cut out and looked at by themselves, and what both looks saw is
merged: where the second one looked, it is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from detectors import boxes
from detectors.detections import Box, Detections, Image
from detectors.yolo import YoloDetector

SUBJECTS: Mapping[str, float] = {"person": 1.25, "hand": 5.0, "malformed_hand": 5.0}
"""What is looked at again, and the side of the cut, in sides of its box."""
SUBJECT_CONF = 0.2
MOST_CUTS = 6
WORTH = 1.5
"""A second look must show things so much larger."""
LARGEST = 2.0
"""A small cut is magnified so much at most: what is not in the picture cannot be seen."""
RIM = 0.02
"""What touches the rim of a cut, in sides of the cut, may be cut off: the first look keeps its word there."""
SAME_IOU = 0.55
INSIDE = 0.8


@dataclass(frozen=True, slots=True)
class CloserDetector:
    """A ``Detector`` that looks twice where that shows more.

    Attributes:
        inner: looks.
        most_cuts: second looks in one picture at most, of the largest gain first.
    """

    inner: YoloDetector
    most_cuts: int = MOST_CUTS

    @property
    def model_id(self) -> str:
        """The inner detector's."""
        return self.inner.model_id

    @property
    def class_names(self) -> tuple[str, ...]:
        """The inner detector's."""
        return self.inner.class_names

    @property
    def default_conf(self) -> Mapping[str, float]:
        """The inner detector's."""
        return self.inner.default_conf

    @property
    def imgsz(self) -> int:
        """Side in pixels of the largest square that one look sees."""
        return self.inner.imgsz

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """Finds parts and defects; see ``YoloDetector.detect``."""
        first = self.inner.detect(images, min(conf, SUBJECT_CONF))
        cuts = [self._cuts(seen, image.shape[:2]) for seen, image in zip(first, images, strict=True)]
        pieces = [
            image[y1:y2, x1:x2] for image, own in zip(images, cuts, strict=True) for x1, y1, x2, y2 in own
        ]
        closer = iter(self.inner.detect(pieces, conf))
        merged = []
        for image, seen, own in zip(images, first, cuts, strict=True):
            for cut in own:
                seen = merge(seen, next(closer), cut, image.shape[:2])
            merged.append(seen[seen.conf >= conf].by_confidence())
        return merged

    def defect_energy(self, image: Tensor, xyxy: tuple[float, float, float, float]) -> Tensor:
        """Returns how malformed a region looks, seen from close by; see ``YoloDetector.defect_energy``."""
        return self.defect_and_presence(image, xyxy)[0]

    def defect_and_presence(
        self, image: Tensor, xyxy: tuple[float, float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """``defect_energy``, and how surely there is a part at all, float32 (B,) each."""
        x1, y1, x2, y2 = self._around(xyxy, (image.shape[2], image.shape[3]))
        moved = (xyxy[0] - x1, xyxy[1] - y1, xyxy[2] - x1, xyxy[3] - y1)
        return self.inner.defect_and_presence(image[:, :, y1:y2, x1:x2], moved)

    def _around(self, xyxy: Sequence[float], size_hw: tuple[int, int]) -> Box:
        """The part of a picture in which a region is judged: all of it where one look is large enough."""
        if max(size_hw) <= self.inner.imgsz:
            return 0, 0, size_hw[1], size_hw[0]
        longer = max(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1])
        return square_in(xyxy, max(float(self.inner.imgsz), 2 * longer), size_hw)

    def _cuts(self, seen: Detections, size_hw: tuple[int, int]) -> list[Box]:
        """Returns the cuts to look at again: subjects that become larger, the largest gain first."""
        names = self.inner.class_names
        wanted: list[tuple[float, Box]] = []
        for xyxy, conf, class_id in zip(seen.xyxy, seen.conf, seen.class_id, strict=True):
            times = SUBJECTS.get(names[class_id])
            if times is None or conf < SUBJECT_CONF:
                continue
            side = times * float(max(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]))
            least = self.inner.imgsz / LARGEST
            cut = square_in(xyxy, max(side, least), size_hw)
            gain = self._scale((cut[3] - cut[1], cut[2] - cut[0])) / self._scale(size_hw)
            if gain >= WORTH:
                wanted.append((gain, cut))
        chosen: list[Box] = []
        for _, cut in sorted(wanted, key=lambda one: (-one[0], one[1])):
            held = boxes.containment(cut, chosen)[0] if chosen else np.zeros(1)
            if held.max() < INSIDE and len(chosen) < self.most_cuts:
                chosen.append(cut)
        return chosen

    def _scale(self, size_hw: tuple[int, int]) -> float:
        return self.inner.seen_px(size_hw) / max(size_hw)


def square_in(xyxy: Sequence[float] | NDArray[np.float32], side: float, size_hw: tuple[int, int]) -> Box:
    """A square about a box, moved so that as much of it as can lies in the picture, and cut to it."""
    corners = []
    for low, high, limit in ((xyxy[0], xyxy[2], size_hw[1]), (xyxy[1], xyxy[3], size_hw[0])):
        start = float(np.clip((float(low) + float(high) - side) / 2, 0, max(0.0, limit - side)))
        corners.append((round(start), min(limit, round(start + side))))
    (x1, x2), (y1, y2) = corners
    return x1, y1, x2, y2


def merge(seen: Detections, closer: Detections, cut: Box, size_hw: tuple[int, int]) -> Detections:
    """Merges two looks: the closer one counts inside the cut, the first one elsewhere and at its rim.

    Args:
        seen: in the picture.
        closer: in the cut, in its own pixels.
        cut: where it lies in the picture.
        size_hw: of the picture.
    """
    left, top, right, bottom = cut
    moved = closer.xyxy + np.array([left, top, left, top], np.float32)
    rim = RIM * max(right - left, bottom - top)
    sides = np.array([left > 0, top > 0, right < size_hw[1], bottom < size_hw[0]])
    away = np.stack(
        [moved[:, 0] - left, moved[:, 1] - top, right - moved[:, 2], bottom - moved[:, 3]], axis=1
    )
    whole = ~((away < rim) & sides).any(axis=1)
    kept = Detections(moved[whole], closer.conf[whole], closer.class_id[whole])
    inner = np.array([left, top, right, bottom]) + rim * np.array([1, 1, -1, -1]) * sides
    inside = boxes.containment(seen.xyxy, inner)[:, 0] >= INSIDE
    same_class = seen.class_id[:, None] == kept.class_id[None, :]
    again = ((boxes.iou(seen.xyxy, kept.xyxy) >= SAME_IOU) & same_class).any(axis=1)
    first = seen[~inside & ~again]
    return Detections(
        np.concatenate([first.xyxy, kept.xyxy]).astype(np.float32),
        np.concatenate([first.conf, kept.conf]),
        np.concatenate([first.class_id, kept.class_id]),
    )
