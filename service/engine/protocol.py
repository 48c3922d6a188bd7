"""The engine's interface for the API, the worker and the command line, and its loader."""

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
    """The engine's interface."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The detector's class names, by ``class_id``."""
        ...

    def models(self) -> Sequence[ModelCard]:
        """Returns the cards of the loaded models."""
        ...

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Generates pictures from a prompt and repairs their defects."""
        ...

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """Repairs the defects of one picture."""
        ...

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """Detects parts in a picture: uint8 RGB (H, W, 3); ``conf`` in (0, 1), or each class's default."""
        ...

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Draws a heat map of the malformed parts' scores over the picture: uint8 RGB (H, W, 3)."""
        ...


LoadEngine = Callable[[Settings], Engine]


def load_engine(settings: Settings) -> Engine:
    """Loads the engine that the settings name; the slow imports of model libraries happen only here.

    Raises:
        ModelUnavailable: a model cannot be loaded; the message names it.
    """
    if settings.model == STUB:
        from service.engine.stub import StubEngine

        return StubEngine(settings.stub_step_ms / 1000)
    from service.engine.engine import DiffusionEngine

    return DiffusionEngine.load(settings)
