"""What the edges ask of the engine, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from detectors.detections import Detections, Image
from service.core.listener import SILENT, Listener
from service.core.model_card import ModelCard
from service.core.report import RepairReport
from service.core.requests import GenerateRequest, RepairRequest
from service.runtime.settings import STUB, Settings


class Engine(Protocol):
    """What the edges ask of the engine."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The detector's class names by id."""
        ...

    def models(self) -> Sequence[ModelCard]:
        """The models in use."""
        ...

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Pictures from a prompt, repaired where they are malformed."""
        ...

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """One picture, repaired where it is malformed."""
        ...

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """What the detector sees."""
        ...

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Where the scores of what was seen come from, in colour over the picture."""
        ...


LoadEngine = Callable[[Settings], Engine]


def load_engine(settings: Settings) -> Engine:
    """Loads the engine that the settings name; model libraries are imported only now, which takes seconds.

    Raises:
        ModelUnavailable: naming what was tried.
    """
    if settings.model == STUB:
        from service.engine.stub import StubEngine

        return StubEngine(settings.stub_step_ms / 1000)
    from service.engine.engine import DiffusionEngine

    return DiffusionEngine.load(settings)
