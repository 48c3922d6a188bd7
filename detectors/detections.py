"""Detections in one image, as one columnar record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Image = NDArray[np.uint8]
"""uint8 RGB, shape (H, W, 3)."""
Mask = NDArray[np.float32]
"""float32, shape (H, W), in [0, 1]. 1 = repaint, everywhere in the project."""
PAINTED = 0.5
"""Least value at which a pixel of a painted mask counts as painted."""
Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in full-image pixels, half-open."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes, scores and class ids of one image; rows belong together.

    Attributes:
        xyxy: float32 (N, 4), half-open boxes in full-image pixels.
        conf: float32 (N,), in [0, 1].
        class_id: int64 (N,), an index into the detector's ``class_names``.
    """

    xyxy: FloatArray
    conf: FloatArray
    class_id: IntArray

    def __post_init__(self) -> None:
        n = len(self.conf)
        if self.xyxy.shape != (n, 4) or self.conf.shape != (n,) or self.class_id.shape != (n,):
            raise ValueError(
                f"columns disagree: xyxy {self.xyxy.shape}, conf {self.conf.shape}, "
                f"class_id {self.class_id.shape}"
            )
        if not np.isfinite(self.xyxy).all() or (self.xyxy[:, 2:] < self.xyxy[:, :2]).any():
            raise ValueError("xyxy must be finite with x1 <= x2 and y1 <= y2")
        if n and not (self.conf.min() >= 0.0 and self.conf.max() <= 1.0):
            raise ValueError("conf must lie in [0, 1]")

    @classmethod
    def of(cls, xyxy: Any, conf: Any, class_id: Any) -> Detections:
        """Builds a record from array-likes and converts them to the right dtypes."""
        return cls(
            np.asarray(xyxy, np.float32).reshape(-1, 4),
            np.asarray(conf, np.float32).reshape(-1),
            np.asarray(class_id, np.int64).reshape(-1),
        )

    @classmethod
    def empty(cls) -> Detections:
        """Returns a record without rows."""
        return cls.of([], [], [])

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, index: Any) -> Detections:
        """Selects rows by slice, integer array or boolean mask."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Detections(self.xyxy[rows], self.conf[rows], self.class_id[rows])

    def by_confidence(self) -> Detections:
        """Sorts the rows by falling score; ties keep their order."""
        return self[np.argsort(-self.conf, kind="stable")]
