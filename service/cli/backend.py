"""The interface between the commands and the work, which is done in this process or by a service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.schemas.answers import Answer, DetectionAnswer, ModelsAnswer
from service.schemas.requests import DetectBody, GenerateBody, RepairUpload

Draw = Callable[[], bytes]
"""Makes the PNG of a sheet; called only if a sheet is requested."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Finished pictures.

    Attributes:
        answer: the facts; the caller fills in the addresses of pictures.
        pngs: the pictures, in the order of ``answer.images``.
        sheet: draws the picture before, with boxes, and after.
    """

    answer: Answer
    pngs: Sequence[bytes]
    sheet: Draw


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The detections in a picture, and their sheet.

    Attributes:
        heatmap: the PNG of the pixels behind the scores; None if not requested.
    """

    width: int
    height: int
    detections: Sequence[DetectionAnswer]
    sheet: Draw
    heatmap: bytes | None = None


class Backend(Protocol):
    """Does the work of a command. Raises the project's own errors only."""

    def generate(self, body: GenerateBody) -> Made:
        """Generates pictures from a prompt."""
        ...

    def repair(self, picture: bytes, body: RepairUpload, mask: bytes | None, dry_run: bool) -> Made:
        """Repairs a picture where it is malformed or masked."""
        ...

    def detect(self, picture: bytes, body: DetectBody) -> Seen:
        """Detects body parts in a picture."""
        ...

    def models(self) -> ModelsAnswer:
        """Returns the loaded models."""
        ...
