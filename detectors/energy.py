"""Defect energy: one number, computed from a detector's raw scores, that rises with malformation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.body_parts import is_malformed, part_of

TEMPERATURE = 1.0
PADDING = 114 / 255  # the grey that detectors of this family are trained with
BoxF = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """Placement of a picture in the detector's square: scaled, then moved, in pixels of the square."""

    scale_xy: tuple[float, float]
    offset_xy: tuple[int, int]

    def box(self, xyxy: BoxF) -> BoxF:
        """Returns a box of the picture in pixels of the square."""
        (sx, sy), (dx, dy) = self.scale_xy, self.offset_xy
        return xyxy[0] * sx + dx, xyxy[1] * sy + dy, xyxy[2] * sx + dx, xyxy[3] * sy + dy


@dataclass(frozen=True, slots=True, eq=False)
class RawScores:
    """Class logits by anchor.

    Attributes:
        logits: float (B, classes, A).
        centres_xy: float (A, 2), in pixels of the square.
    """

    logits: Tensor
    centres_xy: Tensor

    @classmethod
    def of(
        cls, logits: Tensor, sizes_hw: Sequence[tuple[int, int]], strides: Sequence[float], heads: int
    ) -> RawScores:
        """Builds the scores of ``heads`` heads in sequence, each over the same grids, row by row."""
        centres = []
        for (rows, columns), stride in zip(sizes_hw, strides, strict=True):
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            centres.append((torch.stack([x.flatten(), y.flatten()], 1) + 0.5) * stride)
        return cls(logits, torch.cat(centres).repeat(heads, 1).to(logits.device))


def letterboxed(image: Tensor, side_px: int) -> tuple[Tensor, Placed]:
    """Scales a picture to fit a square and pads it with grey, as for detection, but differentiable.

    Args:
        image: float (B, 3, H, W) in [0, 1].
        side_px: side of the square.

    Returns:
        float32 (B, 3, side_px, side_px), and the picture's placement in it.
    """
    height, width = image.shape[2:]
    scale = side_px / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    scaled = image.float()
    if (rows, columns) != (height, width):
        scaled = F.interpolate(
            scaled, (rows, columns), mode="bilinear", align_corners=False, antialias=scale < 1
        )
    left, top = (side_px - columns) // 2, (side_px - rows) // 2
    around = (left, side_px - columns - left, top, side_px - rows - top)
    return F.pad(scaled, around, value=PADDING), Placed((columns / width, rows / height), (left, top))


def defect_and_presence(
    scores: RawScores, xyxy: BoxF, class_names: Sequence[str], temperature: float = TEMPERATURE
) -> tuple[Tensor, Tensor]:
    """Returns the defect energy of a region, and the energy for any part in it.

    With LSE over anchors and classes and temperature t: ``t LSE(malformed / t) - t LSE(well-formed / t)``,
    and ``t LSE(either / t)``. Logits, not probabilities: a sigmoid has no slope left where the detector
    is sure, which is where it matters.

    Args:
        scores: of a batch.
        xyxy: the region, in pixels of the square; the anchors whose centre lies in it count, and if
            there is none, the nearest.
        class_names: by class id. A class is well-formed if there is a malformed one of the same part.
        temperature: of the LSE; the smaller, the nearer to a maximum.

    Returns:
        Two tensors, float32 (B,).

    Raises:
        ValueError: if no class is malformed.
    """
    bad = [i for i, name in enumerate(class_names) if is_malformed(name)]
    parts = {part_of(class_names[i]) for i in bad}
    good = [i for i, name in enumerate(class_names) if name in parts]
    if not bad:
        raise ValueError(f"no class of {list(class_names)} is malformed")
    logits = scores.logits[:, :, _inside(scores.centres_xy, xyxy)].float() / temperature
    malformed = torch.logsumexp(logits[:, bad].flatten(1), 1)
    if not good:
        return temperature * malformed, temperature * malformed
    well_formed = torch.logsumexp(logits[:, good].flatten(1), 1)
    return (
        temperature * (malformed - well_formed),
        temperature * torch.logaddexp(malformed, well_formed),
    )


def _inside(centres_xy: Tensor, xyxy: BoxF) -> Tensor:
    """Returns the rows of the anchors in the box, or of the nearest ones."""
    x, y = centres_xy[:, 0], centres_xy[:, 1]
    inside = (x >= xyxy[0]) & (x < xyxy[2]) & (y >= xyxy[1]) & (y < xyxy[3])
    if bool(inside.any()):
        return inside.nonzero()[:, 0]
    middle = centres_xy.new_tensor([(xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2])
    distance = (centres_xy - middle).square().sum(1)
    return (distance == distance.min()).nonzero()[:, 0]
