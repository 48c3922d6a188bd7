"""Time to put one candidate's patch back into the picture: ``python -m bench.blend --against COMMIT``.

The patch is as large as the picture. With ``--against`` the ``service/repair/blend.py`` of that commit is
timed too, turn by turn with the present one, so that other load on the machine slows both; the fastest turn
of each counts.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from bench.intervals import machine, table
from detectors.detections import Image, Mask
from detectors.masks import box_mask, feather
from service.repair import blend

SIDES_PX = (256, 1024, 2048, 4000)
MOST_OF_OLD_PX = 2048
"""The old ground takes minutes above it."""


def scene(side_px: int, seed: int = 0) -> tuple[Image, Image, Mask]:
    """Draws a picture, a version in another tint and grain, and a mask of the quarter in its middle."""
    rng = np.random.default_rng(seed)
    smooth = [_enlarged(rng.normal(0, spread, (12, 12, 3)), side_px) for spread in (40, 8)]
    picture = 128 + smooth[0] + rng.normal(0, 4, (side_px, side_px, 1))
    patch = picture + smooth[1] + rng.normal(0, 3, picture.shape)
    quarter = side_px // 4
    mask = feather(box_mask((quarter, quarter, 3 * quarter, 3 * quarter), (side_px, side_px)), side_px // 32)
    image, drawn = (np.clip(pixels, 0, 255).astype(np.uint8) for pixels in (picture, patch))
    return image, drawn, mask


def parts(functions: Any, side_px: int) -> dict[str, Callable[[], object]]:
    """Returns the steps of one candidate by name, with these ``blend`` functions."""
    image, patch, mask = scene(side_px)
    whole = (0, 0, side_px, side_px)
    after = blend.composite(image, patch, whole, mask)
    return {
        "tone": lambda: functions.match_tone(patch, image, mask),
        "ground": lambda: functions.match_ground(patch, image),
        "composite": lambda: functions.composite(image, patch, whole, mask),
        "seam": lambda: functions.seam(image, after, patch, mask),
    }


def as_in(commit: str) -> ModuleType:
    """Returns the module ``service.repair.blend`` of that commit."""
    path = "service/repair/blend.py"
    source = subprocess.run(["git", "show", f"{commit}:{path}"], check=True, capture_output=True, text=True)
    module = ModuleType(f"blend_{commit}")
    exec(compile(source.stdout, f"{commit}:{path}", "exec"), module.__dict__)
    return module


def fastest(works: Sequence[Callable[[], object]], repeat: int) -> list[float]:
    """Returns the processor time of each work's fastest turn, in ms; the works take turns."""
    taken = [float("inf")] * len(works)
    for _ in range(repeat):
        for index, work in enumerate(works):
            start = time.process_time()
            work()
            taken[index] = min(taken[index], (time.process_time() - start) * 1000)
    return taken


def _enlarged(cells: np.ndarray, side_px: int) -> np.ndarray:
    return np.asarray(cv2.resize(cells.astype(np.float32), (side_px,) * 2, interpolation=cv2.INTER_CUBIC))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", help="a commit to compare with")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES_PX, metavar="PX")
    args = parser.parse_args()
    cv2.setNumThreads(1)  # processor time is what others on the machine have to pay
    old = None if args.against is None else as_in(args.against)
    rows = []
    for side_px in args.sides:
        today = parts(blend, side_px)
        before = {} if old is None or side_px > MOST_OF_OLD_PX else parts(old, side_px)
        for name, work in today.items():
            works = [work, *([before[name]] if before else [])]
            new_ms, *rest = fastest(works, args.repeat)
            cells = [f"{rest[0]:.1f}", f"{rest[0] / new_ms:.1f}"] if rest else ["", ""]
            rows.append([f"{side_px}", name, cells[0], f"{new_ms:.1f}", cells[1]])
    print(machine())
    print(table(["side, px", "part", "before, ms", "now, ms", "times as fast"], rows))


if __name__ == "__main__":
    main()
