"""Where the work is done: in this process or by a service. What the commands ask of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.schemas.answers import Answer, DetectionAnswer, ModelsAnswer
from service.schemas.requests import DetectBody, GenerateBody, RepairUpload

Draw = Callable[[], bytes]
"""Makes the PNG of a sheet; not called where nobody wants one."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Finished pictures.

    Attributes:
        answer: the facts; addresses of pictures are left to who writes them.
        pngs: the pictures, in the order of ``answer.images``.
        sheet: before, boxes and after.
    """

    answer: Answer
    pngs: Sequence[bytes]
    sheet: Draw


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen in a picture, and its sheet.

    Attributes:
        heatmap: the PNG of where its scores come from; None if it was not asked for.
    """

    width: int
    height: int
    detections: Sequence[DetectionAnswer]
    sheet: Draw
    heatmap: bytes | None = None


class Backend(Protocol):
    """Does what a command asks for. Errors are the project's own, wherever they come from."""

    def generate(self, body: GenerateBody) -> Made:
        """Pictures from a prompt."""
        ...

    def repair(self, picture: bytes, body: RepairUpload, mask: bytes | None, dry_run: bool) -> Made:
        """A picture, repaired where it is malformed or masked."""
        ...

    def detect(self, picture: bytes, body: DetectBody) -> Seen:
        """What the detector sees in a picture."""
        ...

    def models(self) -> ModelsAnswer:
        """The models in use."""
        ...
