"""What the service asks of anything that finds or judges defects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # who only detects need not wait for torch
    from torch import Tensor

from detectors.body_parts import is_malformed
from detectors.detections import Box, Detections, Image


class ModelLoadError(Exception):
    """A detector or critic cannot be loaded: missing, broken or of another kind."""


class Detector(Protocol):
    """Finds parts and defects, several images at a time."""

    @property
    def model_id(self) -> str:
        """Name and hash, for the report."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class name by ``class_id``."""
        ...

    @property
    def default_conf(self) -> Mapping[str, float]:
        """Least score at which each class counts, for all of ``class_names``; in (0, 1)."""
        ...

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """One record per image, boxes in that image's pixels, all with ``conf`` or more."""
        ...


@runtime_checkable
class DifferentiableDetector(Protocol):
    """What can say, as a function that has a gradient, how malformed a region looks."""

    def defect_energy(self, image: Tensor, xyxy: tuple[float, float, float, float]) -> Tensor:
        """Higher = more malformed. It has no scale of its own; only its differences mean something.

        Args:
            image: float (B, 3, H, W), RGB in [0, 1].
            xyxy: the region, in pixels of ``image``, the same for all of the batch.

        Returns:
            float32 (B,).
        """
        ...


@runtime_checkable
class PresenceDetector(Protocol):
    """A ``DifferentiableDetector`` that also tells a region without a part from one with a good part."""

    def defect_and_presence(
        self, image: Tensor, xyxy: tuple[float, float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """``defect_energy``, and how surely there is a part at all, float32 (B,) each, from one look."""
        ...


def guide_in(detector: Detector) -> DifferentiableDetector | None:
    """The detector as one that can say where its score for "malformed" comes from; None if it cannot."""
    knows_defects = any(is_malformed(name) for name in detector.class_names)
    return detector if knows_defects and isinstance(detector, DifferentiableDetector) else None


class Critic(Protocol):
    """A second opinion on crops, by another model than the detector."""

    @property
    def model_id(self) -> str:
        """Name and hash, for the report."""
        ...

    @property
    def threshold(self) -> float:
        """From this probability on, a crop counts as malformed; in (0, 1)."""
        ...

    def crop(self, image: Image, xyxy: Box) -> Image:
        """The crop of one part as this critic was trained to see it."""
        ...

    def malformed(self, crops: Sequence[Image], parts: Sequence[str]) -> list[float]:
        """Probability in [0, 1] that each crop shows a malformed part.

        Args:
            crops: as ``crop`` cuts them.
            parts: which body part each is of; empty where that is not known.
        """
        ...
