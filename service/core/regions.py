"""Regions to redraw, and the plan that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors.detections import Box, Mask
from service.core.params import RepairParams

MASK_CLASS = "mask"
"""The class name of painted regions, in requests and reports."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Region:
    """One place to redraw: where, why, and its two masks (full-image size).

    Attributes:
        number: its place among all that were found to be repaired, before ``only`` and ``skip``.
    """

    xyxy: Box
    class_name: str
    conf: float
    denoise_mask: Mask
    composite_mask: Mask
    number: int = 0

    @property
    def is_painted(self) -> bool:
        """Whether a mask says that it is redrawn, and nothing was found there."""
        return self.class_name == MASK_CLASS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RepairPlan:
    """What will be redrawn, in this order.

    Attributes:
        spared: how many defects or painted areas are left as they are, by the parameter that says so.
        is_painted: a mask said where, and nothing was sought.
    """

    regions: tuple[Region, ...]
    params: RepairParams
    spared: Mapping[str, int] = field(default_factory=dict)
    is_painted: bool = False
