"""Regions to redraw, and the plan that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detectors.detections import Box, Mask
from service.core.params import RepairParams

MASK_CLASS = "mask"
"""Class name of painted regions, in requests and reports."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Region:
    """One region to redraw: its box, the reason, and two masks of the picture's size.

    Attributes:
        number: its index among all regions found, before ``only`` and ``skip``.
    """

    xyxy: Box
    class_name: str
    conf: float
    denoise_mask: Mask
    composite_mask: Mask
    number: int = 0

    @property
    def is_painted(self) -> bool:
        """True if the region comes from a painted mask and not from a detection."""
        return self.class_name == MASK_CLASS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RepairPlan:
    """The regions to redraw, in order.

    Attributes:
        spared: number of defects or painted areas left unchanged, by the parameter that excludes them.
        is_painted: True if the regions come from a painted mask; no detector ran.
    """

    regions: tuple[Region, ...]
    params: RepairParams
    spared: Mapping[str, int] = field(default_factory=dict)
    is_painted: bool = False
