"""Parts that do as they are told, in the places of trained ones.

A part is a patch of pure colour: ``ColourDetector`` finds it, ``ColourCritic`` judges it and
``PaintInpainter`` draws it, so that a test says in colours what should happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Box, Detections, Image, Mask
from detectors.protocols import Critic, Detector
from service.core.listener import Silent
from service.core.params import RegionSettings
from service.diffusion.hooks import Hook
from service.engine.engine import DiffusionEngine
from service.repair.gate import Gate
from service.repair.gate_params import GateParams
from service.repair.ladder import Ladder
from service.repair.methods.redraw import redraw_only
from service.repair.prompts import Prompts

Colour = tuple[int, int, int]
GREY: Colour = (128, 128, 128)
COLOURS: Mapping[str, Colour] = {
    "hand": (20, 230, 20),
    "malformed_hand": (230, 20, 20),
    "limb": (20, 230, 230),
    "malformed_limb": (230, 20, 230),
    "horse": (230, 230, 20),
}
THRESHOLDS = {name: 0.4 if name.startswith("malformed_") else 0.3 for name in CLASS_NAMES}


def picture(*parts: tuple[str, Box], size_hw: tuple[int, int] = (96, 96)) -> Image:
    """Grey ground with a patch of each class's colour."""
    image = np.full((*size_hw, 3), GREY, np.uint8)
    for name, (x1, y1, x2, y2) in parts:
        image[y1:y2, x1:x2] = COLOURS[name]
    return image


@dataclass
class ColourDetector:
    """Finds patches of the classes' colours; the purer, the surer.

    Attributes:
        fixed: detections added to every picture that is at least this large.
        calls: the number of pictures of each call.
    """

    default_conf: Mapping[str, float] = field(default_factory=lambda: dict(THRESHOLDS))
    class_names: tuple[str, ...] = CLASS_NAMES
    fixed: Detections = field(default_factory=Detections.empty)
    model_id: str = "colours@1"
    calls: list[int] = field(default_factory=list)

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        self.calls.append(len(images))
        return [self._one(image, conf) for image in images]

    def _one(self, image: Image, conf: float) -> Detections:
        rows = list(zip(self.fixed.xyxy, self.fixed.conf, self.fixed.class_id, strict=True))
        for name, colour in COLOURS.items():
            if name not in self.class_names:
                continue
            distance = np.abs(image.astype(int) - colour).max(axis=2)
            near = (distance < 60).astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(near)
            for label in range(1, count):
                x, y, w, h, area = stats[label]
                score = 1.0 - float(distance[labels == label].mean()) / 60
                if area >= 9:
                    rows.append((np.array([x, y, x + w, y + h]), score, self.class_names.index(name)))
        found = Detections.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
        return found[found.conf >= conf].by_confidence()


@dataclass
class ColourCritic:
    """Calls a crop malformed by a function of it."""

    verdict: Callable[[Image], float] = lambda crop: 0.0
    threshold: float = 0.5
    model_id: str = "critic@1"

    def crop(self, image: Image, xyxy: Box) -> Image:
        x1, y1, x2, y2 = (int(value) for value in xyxy)
        return image[max(y1, 0) : y2, max(x1, 0) : x2]

    def malformed(self, crops: Sequence[Image], parts: Sequence[str]) -> list[float]:
        return [self.verdict(crop) for crop in crops]


Script = Callable[[int, float], "Colour | Callable[[Image, Mask], Image]"]


@dataclass
class PaintInpainter:
    """Fills the mask with the colour that the script gives for a seed and a strength.

    Like a real model it changes a little everywhere else too, so that a missing composite is noticed.
    """

    script: Script
    native_px: int = 64
    per_class: Mapping[str, RegionSettings] = field(default_factory=dict)
    cell_px: int = 8
    drift: int = 5
    most_at_once: int = 16
    calls: list[tuple[float, tuple[int, ...], str]] = field(default_factory=list)
    settings: list[tuple[int | None, float | None, str, int]] = field(default_factory=list)

    def inpaint(
        self,
        image: Image,
        mask: Mask,
        *,
        prompt: str,
        negative_prompt: str,
        strength: float,
        seeds: Sequence[int],
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        hooks: Sequence[Hook] = (),
        on_step: Callable[[int], None] | None = None,
    ) -> list[Image]:
        assert image.shape == (self.native_px, self.native_px, 3)
        assert mask.shape == (self.native_px, self.native_px)
        self.calls.append((strength, tuple(seeds), prompt))
        self.settings.append((num_inference_steps, guidance_scale, negative_prompt, len(hooks)))
        return [self._one(image, mask, self.script(seed, strength), seed) for seed in seeds]

    def _one(self, image: Image, mask: Mask, paint: object, seed: int) -> Image:
        noise = np.random.default_rng(seed).integers(-self.drift, self.drift + 1, image.shape)
        drifted = np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)
        if callable(paint):
            return np.asarray(paint(drifted, mask), np.uint8)
        return np.where(mask[..., None] > 0, np.uint8(paint), drifted)


def paint_part(name: str, share: float = 0.5) -> Callable[[Image, Mask], Image]:
    """Grey under the mask and, in its middle, a patch of the class's colour."""

    def paint(image: Image, mask: Mask) -> Image:
        result = np.where(mask[..., None] > 0, np.uint8(GREY), image)
        rows, columns = np.nonzero(mask)
        middle_y, middle_x = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
        half_h, half_w = share * np.ptp(rows) / 2, share * np.ptp(columns) / 2
        y1, y2 = int(middle_y - half_h), int(np.ceil(middle_y + half_h))
        x1, x2 = int(middle_x - half_w), int(np.ceil(middle_x + half_w))
        result[y1:y2, x1:x2] = COLOURS[name]
        return result

    return paint


class Told(Silent):
    """Notes the progress that is told."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        self._steps = steps

    def progress(self, phase: str, done: int, total: int) -> None:
        self._steps.append((phase, done, total))


ANY_COLOUR = GateParams(max_foreign_colour=2.0)
"""Limits for a world in which a colour is a class, so that no colour is out of place."""


def engine_of(*parts: Any, gate_params: GateParams = ANY_COLOUR, **more: Any) -> DiffusionEngine:
    """Makes an engine whose gate takes any colour."""
    return DiffusionEngine(*parts, gate_params=gate_params, **more)


def ladder_of(
    inpainter: PaintInpainter,
    detector: Detector,
    critic: Critic | None = None,
    prompt: str = "",
    gate_params: GateParams = ANY_COLOUR,
) -> Ladder:
    """Makes a ladder that redraws, with a gate that takes any colour."""
    gate = Gate(detector, critic, THRESHOLDS, params=gate_params)
    methods = redraw_only(inpainter)
    return Ladder(methods=methods, native_px=inpainter.native_px, gate=gate, prompts=Prompts(prompt))
