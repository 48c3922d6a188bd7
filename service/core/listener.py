"""The listener that an engine tells how the work goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from detectors.detections import Image
from service.core.regions import Region
from service.core.report import Attempt


class Listener(Protocol):
    """Told how the work goes, from the thread that does it; what a method raises ends the work at once."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """``phase`` is ``generate``, ``detect`` or ``repair``; ``done`` runs to ``total``."""
        ...

    def wants_preview(self) -> bool:
        """Whether ``preview`` should be told now: what nobody sees need not be decoded."""
        ...

    def preview(self, picture: int, step: int, image: Image) -> None:
        """What the picture of this index in the request looks like after so many steps; uint8 RGB."""
        ...

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """What is to be repaired in a picture."""
        ...

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """One attempt at one region of a picture, by their indices."""
        ...


class Silent:
    """The listener of those who do not want to know, and the base of those who want to know a part."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Says nothing."""

    def wants_preview(self) -> bool:
        """Nobody looks."""
        return False

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Says nothing."""

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """Says nothing."""

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """Says nothing."""


SILENT = Silent()
