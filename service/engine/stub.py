"""A simulated engine for load tests of the service without models: noise for pictures, sleep for work."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Detections, Image
from service.core.errors import InvalidRequest
from service.core.listener import SILENT, Listener
from service.core.model_card import ModelCard
from service.core.regions import Region
from service.core.report import Attempt, Outcome, RegionOutcome, RepairReport, Verdict
from service.core.requests import GenerateRequest, RepairRequest, new_seed

SIZE_PX = 64
STEPS = 4
MODEL_ID = "stub (simulated: draws noise, repairs nothing real)"


class StubEngine:
    """Sleeps ``step_s`` for each denoising step; finds a defect in the upper left quarter of an upload."""

    class_names: tuple[str, ...] = CLASS_NAMES

    def __init__(self, step_s: float = 0.0) -> None:
        self._step_s = step_s

    def models(self) -> Sequence[ModelCard]:
        """Returns one card, which says that this is a simulation."""
        return [
            ModelCard(
                role="generator",
                id=MODEL_ID,
                source="stub",
                family="StubEngine",
                native_size_hw=(SIZE_PX, SIZE_PX),
                defaults={"steps": STEPS},
            )
        ]

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Returns noise of the requested size; the same for the same seed."""
        first = new_seed() if request.seed is None else request.seed
        steps = request.num_inference_steps or STEPS
        size_hw = request.height or SIZE_PX, request.width or SIZE_PX
        reports = []
        for picture in range(request.num_images):
            image = _noise(size_hw, first + picture)
            for step in range(steps):
                listener.progress("generate", picture * steps + step, request.num_images * steps)
                if listener.wants_preview():
                    listener.preview(picture, step, image)
                time.sleep(self._step_s)
            listener.found(picture, ())
            reports.append(_report(image, image, first + picture, ()))
        listener.progress("generate", request.num_images * steps, request.num_images * steps)
        return reports

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """Returns the picture with noise in its upper left quarter, otherwise unchanged."""
        seed = new_seed() if request.seed is None else request.seed
        height, width = request.image.shape[:2]
        corner = max(height // 2, 1), max(width // 2, 1)
        mask = np.zeros((height, width), np.float32)
        mask[: corner[0], : corner[1]] = 1
        region = Region(
            xyxy=(0, 0, corner[1], corner[0]),
            class_name="malformed_hand",
            conf=0.9,
            denoise_mask=mask,
            composite_mask=mask,
        )
        listener.found(0, (region,))
        for step in range(STEPS):
            listener.progress("repair", step, STEPS)
            time.sleep(self._step_s)
        listener.progress("repair", STEPS, STEPS)
        if request.dry_run:
            outcome = RegionOutcome(
                region=region, attempts=(), accepted=False, reason="looked only", conf_after=region.conf
            )
            return _report(request.image, request.image, seed, (outcome,))
        image = request.image.copy()
        image[: corner[0], : corner[1]] = _noise(corner, seed)
        attempt = Attempt(
            method="stub",
            strength=1.0,
            seed=seed,
            conf=0.1,
            critic=None,
            seam=1.0,
            foreign_colour=0.0,
            verdict=Verdict.ACCEPTED,
        )
        listener.tried(0, 0, attempt)
        outcome = RegionOutcome(
            region=region, attempts=(attempt,), accepted=True, reason="simulated", conf_after=0.1
        )
        return _report(image, request.image, seed, (outcome,))

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """Returns one malformed hand in the upper left quarter."""
        time.sleep(self._step_s)
        height, width = image.shape[:2]
        seen = Detections.of([[0, 0, max(width / 2, 1), max(height / 2, 1)]], [0.9], [1])
        return seen[seen.conf >= (conf or 0.0)]

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Raises ``InvalidRequest``, code ``no_gradient``: a simulation has no gradient."""
        raise InvalidRequest(
            "a simulation cannot say where its scores come from", code="no_gradient", allowed="no heat map"
        )


def _report(image: Image, original: Image, seed: int, regions: tuple[RegionOutcome, ...]) -> RepairReport:
    accepted = any(outcome.accepted for outcome in regions)
    outcome = Outcome.REPAIRED if accepted else Outcome.UNREPAIRED if regions else Outcome.CLEAN
    return RepairReport(
        image=image,
        original=original,
        seed=seed,
        outcome=outcome,
        regions=regions,
        models={"generator": MODEL_ID},
        timings_s={},
    )


def _noise(size_hw: tuple[int, int], seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
