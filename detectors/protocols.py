"""Interfaces of detectors and critics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # detection alone need not wait for torch
    from torch import Tensor

from detectors.body_parts import is_malformed
from detectors.detections import Box, Detections, Image


class ModelLoadError(Exception):
    """Raised if a detector or critic cannot be loaded: missing, broken or of another kind."""


class Detector(Protocol):
    """Finds parts and defects in batches of images."""

    @property
    def model_id(self) -> str:
        """Name and hash of the model, for the report."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class name by ``class_id``."""
        ...

    @property
    def default_conf(self) -> Mapping[str, float]:
        """Least score in (0, 1) at which each class counts, for all of ``class_names``."""
        ...

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """Returns one record per image: boxes in that image's pixels, with scores of ``conf`` or more."""
        ...


@runtime_checkable
class DifferentiableDetector(Protocol):
    """A detector with a differentiable score for the malformation of a region."""

    def defect_energy(self, image: Tensor, xyxy: tuple[float, float, float, float]) -> Tensor:
        """Returns the defect energy: higher = more malformed. Only its differences have a meaning.

        Args:
            image: float (B, 3, H, W), RGB in [0, 1].
            xyxy: the region, in pixels of ``image``, the same for all of the batch.

        Returns:
            float32 (B,).
        """
        ...


@runtime_checkable
class PresenceDetector(Protocol):
    """A ``DifferentiableDetector`` that also distinguishes a missing part from a well-formed one."""

    def defect_and_presence(
        self, image: Tensor, xyxy: tuple[float, float, float, float]
    ) -> tuple[Tensor, Tensor]:
        """Returns ``defect_energy`` and the energy for any part at all, float32 (B,) each, from one pass."""
        ...


def guide_in(detector: Detector) -> DifferentiableDetector | None:
    """Returns the detector if its score for "malformed" is differentiable; else None."""
    knows_defects = any(is_malformed(name) for name in detector.class_names)
    return detector if knows_defects and isinstance(detector, DifferentiableDetector) else None


class Critic(Protocol):
    """Scores crops of parts; a model other than the detector."""

    @property
    def model_id(self) -> str:
        """Name and hash of the model, for the report."""
        ...

    @property
    def threshold(self) -> float:
        """Least probability, in (0, 1), at which a crop counts as malformed."""
        ...

    def crop(self, image: Image, xyxy: Box) -> Image:
        """Cuts one part as in this critic's training: uint8 RGB."""
        ...

    def malformed(self, crops: Sequence[Image], parts: Sequence[str]) -> list[float]:
        """Returns the probability in [0, 1] that each crop shows a malformed part.

        Args:
            crops: as ``crop`` cuts them.
            parts: body part of each crop; empty where it is not known.
        """
        ...
