"""The listener interface, through which an engine reports its progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from detectors.detections import Image
from service.core.regions import Region
from service.core.report import Attempt


class Listener(Protocol):
    """Receives progress reports in the working thread. An exception from a method ends the work at once."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Receives the progress of ``generate``, ``detect`` or ``repair``; ``done`` rises to ``total``."""
        ...

    def wants_preview(self) -> bool:
        """Tells whether a preview is wanted now; otherwise none is decoded."""
        ...

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Receives a preview, uint8 RGB, of the request's picture with this index after ``step`` steps."""
        ...

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """Receives the regions to repair in a picture."""
        ...

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """Receives one attempt at a region, with the indices of the picture and of the region."""
        ...


class Silent:
    """A listener that ignores all reports; a base class for listeners that need only some of them."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Does nothing."""

    def wants_preview(self) -> bool:
        """Returns False: no preview is wanted."""
        return False

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Does nothing."""

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """Does nothing."""

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """Does nothing."""


SILENT = Silent()
