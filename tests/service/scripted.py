"""An engine that does as it is told, and pictures to feed it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Pillow

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections, Image
from service.core.listener import SILENT, Listener
from service.core.model_card import ModelCard
from service.core.regions import Region
from service.core.report import Attempt, Outcome, RegionOutcome, RepairReport, Unused, Verdict
from service.core.requests import GenerateRequest, RepairRequest

MODELS = {"generator": "scripted@1", "detector": "scripted@2"}


@dataclass
class ScriptedEngine:
    """Repaints the upper left quarter of what it gets, as long as ``outcome`` says that it repairs.

    ``gate`` holds a call back until it is set; ``failures`` are raised, one per call, before anything works.
    """

    outcome: Outcome = Outcome.CLEAN
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)
    failures: list[Exception] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    attempts: int = 1
    running: int = 0
    most_running: int = 0
    gradient: bool = True
    unused: tuple[Unused, ...] = ()
    reason: str = ""

    class_names: tuple[str, ...] = CLASS_NAMES

    def models(self) -> Sequence[ModelCard]:
        facts = {"detector": {"gradient": self.gradient}}
        return [
            ModelCard(
                role=role,
                id=name,
                source="scripted",
                family="none",
                native_size_hw=None,
                defaults=facts.get(role, {}),
            )
            for role, name in MODELS.items()
        ]

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        self._enter(request)
        listener.progress("generate", 1, 1)
        first = request.seed if request.seed is not None else 7
        size_hw = request.height or 64, request.width or 64
        return [
            self._report(noise(size_hw, first + i), first + i, self.outcome)
            for i in range(request.num_images)
        ]

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        self._enter(request)
        listener.progress("repair", 1, 1)
        return self._report(request.image, request.seed if request.seed is not None else 7, self.outcome)

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        self._enter(conf)
        height, width = image.shape[:2]
        found = Detections.of([[0, 0, width, height], [0, 0, width / 2, height / 2]], [0.5, 0.9], [0, 1])
        return found[found.conf >= (conf or 0.0)]

    def heatmap(self, image: Image, seen: Detections) -> Image:
        return image ^ 255

    def _enter(self, request: Any) -> None:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop()
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.entered.set()
        try:
            if self.gate is not None:
                assert self.gate.wait(20)
        finally:
            self.running -= 1

    def _report(self, original: Image, seed: int, outcome: Outcome) -> RepairReport:
        accepted = outcome in {Outcome.REPAIRED, Outcome.PARTLY}
        image = original
        if accepted:
            image = original.copy()
            image[: image.shape[0] // 2, : image.shape[1] // 2] ^= 255
        regions = () if outcome is Outcome.CLEAN else (self._region(original, seed, accepted),)
        timings_s = {"detect": 0.25, "repair": 1.5}
        return RepairReport(
            image=image,
            original=original,
            seed=seed,
            outcome=outcome,
            regions=regions,
            models=MODELS,
            timings_s=timings_s,
            unused=self.unused,
            reason=self.reason,
        )

    def _region(self, image: Image, seed: int, accepted: bool) -> RegionOutcome:
        height, width = image.shape[:2]
        mask = np.zeros((height, width), np.float32)
        mask[: height // 2, : width // 2] = 0.001  # rounds to 0 in 8 bits, and yet is painted
        region = Region(
            xyxy=(0, 0, width // 2, height // 2),
            class_name="malformed_hand",
            conf=0.9,
            denoise_mask=mask,
            composite_mask=mask,
        )
        verdict = Verdict.ACCEPTED if accepted else Verdict.STILL_MALFORMED
        attempt = Attempt(
            method="redraw",
            strength=0.4,
            seed=seed,
            conf=0.1 if accepted else 0.8,
            critic=None,
            seam=1.0,
            foreign_colour=0.0,
            verdict=verdict,
        )
        reason = "accepted" if accepted else "no attempt passed"
        return RegionOutcome(
            region=region,
            attempts=(attempt,) * self.attempts,
            accepted=accepted,
            reason=reason,
            conf_after=0.1 if accepted else 0.9,
        )


def noise(size_hw: tuple[int, int], seed: int = 0, channels: int = 3) -> np.ndarray:
    """uint8 (H, W, channels), different in every pixel."""
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, channels), dtype=np.uint8)


def encoded(picture: np.ndarray | Pillow.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = BytesIO()
    if isinstance(picture, np.ndarray):
        picture = Pillow.fromarray(picture)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """The pixels of a picture file, in whatever mode it has."""
    return np.asarray(Pillow.open(BytesIO(content)))
