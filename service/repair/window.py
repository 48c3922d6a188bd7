"""Windows: square parts of an image, scaled to the model's canvas and back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detectors import masks
from detectors.body_parts import part_of
from detectors.detections import Box, Image, Mask
from service.core.regions import Region


@dataclass(frozen=True, slots=True)
class Framing:
    """The amount of context around a part.

    Attributes:
        context: side of the window as a multiple of the box's longer side.
        least_share: least side of the window as a share of the model's native side. At 1, nothing is
            enlarged.
    """

    context: float
    least_share: float


# A hand needs no context. A leg does need its body, and in a small picture it is only a latent cell or
# two wide; so it is enlarged, but not until it fills the frame.
FRAMINGS = {"limb": Framing(context=2.0, least_share=0.5)}
FRAMING = Framing(context=2.5, least_share=0.25)


@dataclass(frozen=True, slots=True)
class Window:
    """A square on an image, scaled to a canvas of ``canvas_px``.

    Attributes:
        box: the part of the square inside the image.
        inner: box of that part on the canvas; around it the edge pixels are repeated.
        canvas_px: side of the canvas.
        side_px: side of the square, in image pixels.
    """

    box: Box
    inner: Box
    canvas_px: int
    side_px: int

    def cut(self, image: Image) -> Image:
        """Cuts the window out of an image: uint8 RGB (canvas_px, canvas_px, 3)."""
        return np.asarray(self._padded(self._scaled_in(image)), np.uint8)

    def cut_mask(self, mask: Mask) -> Mask:
        """Cuts the window out of a mask: float32 (canvas_px, canvas_px), above 0 wherever the mask was."""
        return np.asarray(self._padded(self._scaled_in(mask)), np.float32)

    def uncut(self, canvas: Image) -> Image:
        """Scales the part of a canvas that covers ``box`` back to the image: uint8 RGB of the box's size."""
        x1, y1, x2, y2 = self.box
        return np.asarray(_resized(self._inner_of(canvas), (x2 - x1, y2 - y1)), np.uint8)

    def uncut_mask(self, canvas: Mask) -> Mask:
        """Scales the part of a mask that covers ``box`` back to the image: float32 of the box's size."""
        x1, y1, x2, y2 = self.box
        return np.asarray(_resized(self._inner_of(canvas), (x2 - x1, y2 - y1)), np.float32)

    def on_canvas(self, box: Box) -> tuple[float, float, float, float]:
        """Converts a box of the image to pixels of the canvas."""
        left, top, right, bottom = self.inner
        x1, y1, x2, y2 = self.box
        across, down = (right - left) / (x2 - x1), (bottom - top) / (y2 - y1)
        return (
            left + (box[0] - x1) * across,
            top + (box[1] - y1) * down,
            left + (box[2] - x1) * across,
            top + (box[3] - y1) * down,
        )

    def _scaled_in(self, pixels: np.ndarray) -> np.ndarray:
        x1, y1, x2, y2 = self.box
        left, top, right, bottom = self.inner
        return _resized(pixels[y1:y2, x1:x2], (right - left, bottom - top))

    def _padded(self, inner: np.ndarray) -> np.ndarray:
        left, top, right, bottom = self.inner
        around = (top, self.canvas_px - bottom, left, self.canvas_px - right)
        return np.asarray(cv2.copyMakeBorder(inner, *around, cv2.BORDER_REPLICATE))

    def _inner_of(self, canvas: np.ndarray) -> np.ndarray:
        left, top, right, bottom = self.inner
        return canvas[top:bottom, left:right]


def window_around(
    box: Box, held: Box, image_hw: tuple[int, int], canvas_px: int, framing: Framing = FRAMING
) -> Window:
    """Returns the square that shows ``box`` with its surroundings and all of ``held``.

    It is moved into the image where it fits. It is not larger than the image's shorter side, unless
    ``held`` is.

    Args:
        box: box of the part.
        held: box that must lie completely inside.
        image_hw: the image's height and width.
        canvas_px: side of the model's canvas.
        framing: amount of context around the part.
    """
    height, width = image_hw
    wanted = max(framing.context * _span(box), framing.least_share * canvas_px)
    side = max(_span(held), min(int(np.ceil(wanted)), height, width))
    x1, x2, inner_x1, inner_x2 = _axis(box[0], box[2], held[0], held[2], width, side, canvas_px)
    y1, y2, inner_y1, inner_y2 = _axis(box[1], box[3], held[1], held[3], height, side, canvas_px)
    return Window((x1, y1, x2, y2), (inner_x1, inner_y1, inner_x2, inner_y2), canvas_px, side)


def _span(box: Box) -> int:
    return max(box[2] - box[0], box[3] - box[1])


def _axis(
    low: int, high: int, held_low: int, held_high: int, length: int, side: int, canvas_px: int
) -> tuple[int, int, int, int]:
    """Returns, along one axis, the covered part of the image and its position on the canvas."""
    start = (low + high - side) // 2
    start = min(max(start, held_high - side), held_low)
    start = (length - side) // 2 if side > length else min(max(start, 0), length - side)
    first, last = max(start, 0), min(start + side, length)
    scale = canvas_px / side
    inner_first = min(round((first - start) * scale), canvas_px - 1)
    inner_last = max(round((last - start) * scale), inner_first + 1)
    return first, last, inner_first, inner_last


def _resized(pixels: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    height, width = pixels.shape[:2]
    if (width, height) == size_wh:
        return pixels
    shrinks = size_wh[0] < width or size_wh[1] < height
    # Cubic interpolation overshoots; masks must stay in [0, 1], and above 0 only near a pixel above 0.
    enlarging = cv2.INTER_LINEAR if pixels.ndim == 2 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA if shrinks else enlarging))


def window_of(region: Region, image_hw: tuple[int, int], native_px: int) -> Window:
    """Returns the window for a region: the part, its surroundings, and all of its denoise mask."""
    held = masks.bounds(region.denoise_mask) or region.xyxy
    framing = FRAMINGS.get(part_of(region.class_name), FRAMING)
    return window_around(region.xyxy, held, image_hw, native_px, framing)
