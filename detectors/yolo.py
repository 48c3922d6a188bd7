"""Detection by an ultralytics model.

Every picture is scaled by itself into a square, so that its boxes do not depend on the rest of the batch.
The square has the picture's own size, but at least ``least_imgsz`` and at most ``imgsz``; without a least
size it is always ``imgsz``. Large pictures are first reduced by area averaging: the bilinear sampling of
ultralytics would alias a 16-megapixel photograph.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from detectors import boxes
from detectors.detections import Detections, Image
from detectors.energy import RawScores, defect_and_presence, letterboxed
from detectors.protocols import ModelLoadError
from detectors.yolo_library import import_yolo

DEFAULTS_FILE = "defaults.json"
BATCH_IMAGES = 16
LEAST_CONF = 0.001
STRIDE_PX = 32
"""The network's coarsest stride: a square's side is a multiple of it."""


@dataclass(frozen=True, slots=True)
class YoloDefaults:
    """Inference settings of a model; the defaults are for a model without a ``defaults.json``.

    Attributes:
        imgsz: largest side of the network's square input, in pixels.
        least_imgsz: least side of it; 0: always ``imgsz``.
        conf: least score by class name; ``other_conf`` for a class that is not named.
        iou: least overlap at which two boxes of one class are merged (only models with NMS).
    """

    imgsz: int = 640
    least_imgsz: int = 0
    conf: Mapping[str, float] = field(default_factory=dict)
    iou: float = 0.6
    other_conf: float = 0.35


def read_defaults(folder: Path) -> YoloDefaults:
    """Reads the settings stored beside a model.

    Raises:
        ModelLoadError: the file exists and cannot be read.
    """
    path = folder / DEFAULTS_FILE
    if not path.is_file():
        return YoloDefaults()
    try:
        return YoloDefaults(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelLoadError(f"{path} cannot be read: {error}") from error


class YoloDetector:
    """A ``Detector`` around one ultralytics detection model. Safe to call from several threads."""

    def __init__(self, model: Any, model_id: str, defaults: YoloDefaults, device: str = "cpu") -> None:
        self._model = model
        self._defaults = defaults
        self._device = device
        self._lock = Lock()
        self._network: Any = None
        self.model_id = model_id
        self.class_names = tuple(str(model.names[i]) for i in range(len(model.names)))
        self.default_conf: Mapping[str, float] = {
            name: defaults.conf.get(name, defaults.other_conf) for name in self.class_names
        }

    @property
    def imgsz(self) -> int:
        """Largest side of the network's square input, in pixels."""
        return self._defaults.imgsz

    def seen_px(self, size_hw: tuple[int, int]) -> int:
        """Side in pixels of the square in which a picture of this size is seen."""
        most, least = self._defaults.imgsz, self._defaults.least_imgsz or self._defaults.imgsz
        return min(most, max(least, -(-max(size_hw) // STRIDE_PX) * STRIDE_PX))

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> YoloDetector:
        """Loads a ``.pt`` file and the ``defaults.json`` beside it, and runs it once.

        Args:
            path: the file; only weights are unpickled, never code.
            device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

        Raises:
            ModelLoadError: there is no such file, or it is not a detection model.
        """
        if not path.is_file():
            raise ModelLoadError(f"no detector at {path}")
        defaults = read_defaults(path.parent)
        model_id = f"{path.name}@{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        with _threads_kept():
            yolo_class = import_yolo()
            try:
                model = yolo_class(str(path), task="detect", verbose=False)
                detector = cls(model, model_id, defaults, device)
                detector.detect([np.zeros((8, 8, 3), np.uint8)], 0.5)
            except Exception as error:  # ultralytics raises whatever its parts raise
                raise ModelLoadError(f"{path} is no usable detection model: {error}") from error
        return detector

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """Finds parts and defects.

        Args:
            images: uint8 RGB (H, W, 3); sizes may differ.
            conf: least score, in [0, 1].

        Returns:
            One record per image, in its own pixels, most confident first.
        """
        found = [Detections.empty()] * len(images)
        by_side: dict[int, list[int]] = {}
        for row, image in enumerate(images):
            by_side.setdefault(self.seen_px(image.shape[:2]), []).append(row)
        for side_px, rows in by_side.items():
            for start in range(0, len(rows), BATCH_IMAGES):
                batch = rows[start : start + BATCH_IMAGES]
                seen = [_reduced(images[row], side_px) for row in batch]
                for row, result in zip(
                    batch, self._predict(seen, max(conf, LEAST_CONF), side_px), strict=True
                ):
                    found[row] = _to_detections(result, images[row])
        return found

    def defect_energy(self, image: Tensor, xyxy: tuple[float, float, float, float]) -> Tensor:
        """Returns the differentiable defect energy of a region (see ``DifferentiableDetector``).

        It is computed from the raw class logits, before sigmoid and NMS, of the anchors in the region.

        Args:
            image: float (B, 3, H, W), RGB in [0, 1].
            xyxy: the region, in pixels of ``image``.

        Returns:
            float32 (B,).

        Raises:
            ValueError: the model's raw output cannot be read, or the model has no malformed class.
        """
        return self.defect_and_presence(image, xyxy)[0]

    def defect_and_presence(
        self, image: Tensor, xyxy: tuple[float, float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """Returns ``defect_energy`` and the energy for any part at all, float32 (B,) each."""
        side_px = self.seen_px((image.shape[2], image.shape[3]))
        square, place = letterboxed(image.to(self._device), side_px)
        return defect_and_presence(self._raw_scores(square), place.box(xyxy), self.class_names)

    def _raw_scores(self, square: Tensor) -> RawScores:
        """Returns the class logits of each anchor, of all heads.

        A model without NMS has two heads: one with many anchors for each part, one with a single anchor.
        The second decides the detections; the first has the broader gradient. So both are used.
        """
        network = self._differentiable()
        output = network(square)
        raw = output[1] if isinstance(output, tuple) and len(output) == 2 else None
        if not isinstance(raw, dict):
            raise ValueError(f"{self.model_id} has no detection head that can be looked into")
        heads = [raw[name] for name in ("one2many", "one2one") if raw.get(name)] or [raw]
        strides = [float(stride) for stride in network.model[-1].stride]
        sizes_hw = [(int(f.shape[2]), int(f.shape[3])) for f in heads[0]["feats"]]
        return RawScores.of(torch.cat([head["scores"] for head in heads], 2), sizes_hw, strides, len(heads))

    def _differentiable(self) -> Any:
        """Returns a copy of the network for gradients, since prediction runs in inference mode."""
        with self._lock:
            if self._network is None:
                network = copy.deepcopy(self._model.model).float().eval().to(self._device)
                self._network = network.requires_grad_(False)
            return self._network

    def _predict(self, images_bgr: list[Image], conf: float, side_px: int) -> Any:
        with self._lock:
            return self._model.predict(
                images_bgr,
                conf=conf,
                iou=self._defaults.iou,
                imgsz=side_px,
                rect=False,
                device=self._device,
                verbose=False,
                save=False,
            )


def _reduced(image: Image, side_px: int) -> Image:
    """BGR as ultralytics takes arrays, no larger than the square in which it is seen."""
    height, width = image.shape[:2]
    scale = side_px / max(height, width)
    if scale < 1:
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(image[..., ::-1])


def _to_detections(result: Any, image: Image) -> Detections:
    """Converts an ultralytics result and scales it from the reduced picture to the pixels of ``image``."""
    rows = result.boxes
    seen_h, seen_w = result.orig_shape
    height, width = image.shape[:2]
    ratio = np.array([width / seen_w, height / seen_h] * 2)
    xyxy = boxes.clip(rows.xyxy.cpu().numpy() * ratio, (height, width))
    conf = np.clip(rows.conf.cpu().numpy(), 0.0, 1.0)
    return Detections.of(xyxy, conf, rows.cls.cpu().numpy()).by_confidence()


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Keeps torch's thread count: ultralytics sets its own when it first chooses a device."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
