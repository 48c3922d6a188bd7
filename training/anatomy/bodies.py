"""Posed bodies, as the renderer takes them: triangles, colours and the parts to be labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NO_PART = 255
"""``part_id`` of vertices that belong to no labelled part."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One hand, arm or leg.

    Attributes:
        kind: ``hand``, ``arm`` or ``leg``.
        defect: its kind (``missing``, ``doubled``, ...); None if well-formed.
        ghost: (N, 3) points where the part should be, in world space; only for a person's missing limbs,
            whose box cannot be seen in the picture.
        beside: by which share of its height the part's box is widened to either side; for a part that
            stands alone because the other of its pair is missing.
    """

    kind: str
    defect: str | None = None
    ghost: Floats | None = None
    beside: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PosedBody:
    """Triangles in world space: metres, y up, right-handed.

    Attributes:
        kind: ``hand``, ``person`` or ``horse``.
        vertices: float32 (V, 3).
        faces: int32 (F, 3), counter-clockwise seen from outside.
        colours: float32 (V, 3), albedo in [0, 1] as sRGB values.
        part_id: uint8 (V,), index into ``parts``, or ``NO_PART``.
        parts: the labelled parts.
        words: caption facts by name, e.g. ``{"coat": "brown", "gait": "galloping"}``.
    """

    kind: str
    vertices: Floats
    faces: NDArray[np.int32]
    colours: Floats
    part_id: NDArray[np.uint8]
    parts: tuple[Part, ...]
    words: dict[str, str] = field(default_factory=dict)


def skin(rest: Floats, weights: Floats, bones: Floats) -> Floats:
    """Linear blend skinning: (V, 3) by (V, B) weights and (B, 4, 4) rest-to-world transforms."""
    blended = np.tensordot(weights, bones, axes=1)
    moved = np.einsum("vij,vj->vi", blended[:, :3, :3], rest) + blended[:, :3, 3]
    return np.asarray(moved, np.float32)


def rotation(axis: Sequence[float] | Floats, angle_rad: float) -> Floats:
    """The 3×3 rotation about ``axis`` by ``angle_rad``, right-handed (Rodrigues)."""
    x, y, z = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * (cross @ cross)
    return np.asarray(turn, np.float32)


def about(point: Floats, linear: Floats) -> Floats:
    """The 4×4 transform that applies the 3×3 ``linear`` with ``point`` held fixed."""
    moved = np.eye(4, dtype=np.float32)
    moved[:3, :3] = linear
    moved[:3, 3] = point - linear @ point
    return moved
