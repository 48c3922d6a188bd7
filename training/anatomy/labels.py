"""Labels of a rendering: the boxes of the parts and bodies that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats, PosedBody
from training.anatomy.renderer import Camera, Rendering

_LEAST_VISIBLE_PX = {"hand": 500, "arm": 70, "leg": 70}
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels; half-open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPart:
    """One labelled box.

    Attributes:
        class_name: the detector's name for it.
        xyxy: in pixels.
        kind: ``hand``, ``arm``, ``leg`` or ``body``.
        defect: the kind of defect; None if well-formed.
    """

    class_name: str
    xyxy: Box
    kind: str
    defect: str | None


def labels_of(
    bodies: Sequence[PosedBody], camera: Camera, drawn: Rendering, size_px: int
) -> list[LabelledPart]:
    """Returns the boxes of all visible parts and bodies of a rendering."""
    labels: list[LabelledPart] = []
    first = 0
    for number, body in enumerate(bodies):
        for index, part in enumerate(body.parts):
            name = "hand" if part.kind == "hand" else "limb"
            box = _visible_box(drawn.part_map == first + index, _LEAST_VISIBLE_PX[part.kind])
            if part.ghost is not None:
                box = _clipped(camera.project(part.ghost, size_px), size_px)
            if box is not None and part.beside:
                box = _widened(box, part.beside, size_px)
            if box is not None:
                class_name = f"malformed_{name}" if part.defect else name
                labels.append(
                    LabelledPart(class_name=class_name, xyxy=box, kind=part.kind, defect=part.defect)
                )
        first += len(body.parts)
        whole = _visible_box(drawn.body_map == number, 200)
        if body.kind != "hand" and whole is not None:
            labels.append(LabelledPart(class_name=body.kind, xyxy=whole, kind="body", defect=None))
    return labels


def _visible_box(seen: NDArray[np.bool_], least_px: int) -> Box | None:
    if int(seen.sum()) < least_px:
        return None
    ys, xs = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def _widened(box: Box, by: float, size_px: int) -> Box:
    x1, y1, x2, y2 = box
    more = by * (y2 - y1)
    return max(x1 - more, 0.0), y1, min(x2 + more, float(size_px)), y2


def _clipped(points: Floats, size_px: int) -> Box | None:
    low, high = np.clip(points.min(axis=0), 0, size_px), np.clip(points.max(axis=0), 0, size_px)
    if (high - low).min() < 6:
        return None
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
