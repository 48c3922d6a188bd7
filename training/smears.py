"""Smeared parts, as a failed redraw leaves them.

The defects of ``training.anatomy`` are clean bodies with a wrong anatomy. A weak generator fails in another
way: fingers melt, a leg fades into its background. A detector that never saw that takes a smear for a
well-formed part, and the gate lets it pass. So a share of the well-formed parts is smeared here and called
malformed; and as often a place without any part is, which is nothing to be called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.body_parts import is_malformed

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]

PARTS = ("hand", "limb")
LEAST_SIDE_PX = 12
"""A smaller part is hardly more than a smear as it stands."""
DEFECT = "smeared"


@dataclass(frozen=True, slots=True)
class SmearOdds:
    """Probabilities that a well-formed scene gets a smeared part, and a smear beside its parts."""

    part: float = 0.18
    elsewhere: float = 0.12


def with_smears(
    pictures: Picture, lines: list[dict[str, Any]], rng: np.random.Generator, odds: SmearOdds | None = None
) -> tuple[Picture, list[dict[str, Any]]]:
    """Smears some of a batch; neither argument is changed.

    Args:
        pictures: uint8 RGB (N, H, W, 3).
        lines: the truth of each, as ``training.anatomy.world`` writes it.
        rng: decides what is smeared, and how.
        odds: ``SmearOdds()`` if None.

    Returns:
        The pictures and their truth, with ``malformed_*`` and the defect "smeared" for what was smeared.
    """
    odds = odds or SmearOdds()
    smeared, truth = pictures.copy(), list(lines)
    for row, line in enumerate(lines):
        if any(is_malformed(part["class_name"]) for part in line["parts"]):
            continue
        chance = rng.random()
        if chance < odds.part:
            smeared[row], truth[row] = _with_part_smeared(smeared[row], line, rng)
        elif chance < odds.part + odds.elsewhere:
            smeared[row] = _smeared_elsewhere(smeared[row], line, rng)
    return smeared, truth


def _with_part_smeared(
    picture: Picture, line: dict[str, Any], rng: np.random.Generator
) -> tuple[Picture, dict[str, Any]]:
    rows = [i for i, part in enumerate(line["parts"]) if _is_large(part)]
    if not rows:
        return picture, line
    chosen = int(rng.choice(rows))
    part = line["parts"][chosen]
    bad = part | {"class_name": f"malformed_{part['class_name']}", "defect": DEFECT}
    parts = [bad if i == chosen else other for i, other in enumerate(line["parts"])]
    return smear(picture, part["xyxy"], rng), line | {"parts": parts}


def _is_large(part: dict[str, Any]) -> bool:
    x1, y1, x2, y2 = part["xyxy"]
    return part["class_name"] in PARTS and min(x2 - x1, y2 - y1) >= LEAST_SIDE_PX


def _smeared_elsewhere(picture: Picture, line: dict[str, Any], rng: np.random.Generator) -> Picture:
    """A smear that touches no part; the picture as it is where there is no room for one."""
    size = picture.shape[0]
    for _ in range(10):
        width, height = rng.uniform(20, size / 3, 2)
        x, y = rng.uniform(0, size - width), rng.uniform(0, size - height)
        box = (x, y, x + width, y + height)
        if not any(_overlap(box, part["xyxy"]) for part in line["parts"] if part["class_name"] in PARTS):
            return smear(picture, box, rng)
    return picture


def _overlap(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def smear(picture: Picture, xyxy: Box, rng: np.random.Generator) -> Picture:
    """The picture, uint8 RGB (H, W, 3), with most of what is in the box smeared in one of the ways."""
    weight = _patch(picture.shape[0], picture.shape[1], xyxy, rng)
    way = _WAYS[int(rng.integers(len(_WAYS)))]
    side = float(max(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]))
    spoilt = way(picture, weight, side, rng).astype(np.float32)
    mixed = picture + weight[..., None] * (spoilt - picture)
    return np.asarray(np.clip(np.round(mixed), 0, 255), np.uint8)


def _patch(height: int, width: int, xyxy: Box, rng: np.random.Generator) -> NDArray[np.float32]:
    """A soft ellipse, float32 (H, W) in [0, 1], over most of the box."""
    x1, y1, x2, y2 = xyxy
    center = (
        round((x1 + x2) / 2 + (x2 - x1) * rng.uniform(-0.15, 0.15)),
        round((y1 + y2) / 2 + (y2 - y1) * rng.uniform(-0.15, 0.15)),
    )
    share = rng.uniform(0.35, 0.6, 2)
    axes = (max(3, round((x2 - x1) * share[0])), max(3, round((y2 - y1) * share[1])))
    hard = np.zeros((height, width), np.float32)
    cv2.ellipse(hard, center, axes, float(rng.uniform(-20, 20)), 0, 360, 1.0, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(hard, (0, 0), float(rng.uniform(1.0, 3.5))), np.float32)


def _blurred(picture: Picture, weight: NDArray[np.float32], side: float, rng: np.random.Generator) -> Picture:
    sigma = float(rng.uniform(0.05, 0.12)) * side + 1.5
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def _melted(picture: Picture, weight: NDArray[np.float32], side: float, rng: np.random.Generator) -> Picture:
    """Moved about by a smooth random field, as shapes flow into each other."""
    height, width = picture.shape[:2]
    grain = float(rng.uniform(0.06, 0.14)) * side + 2
    field = [cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), grain) for _ in range(2)]
    reach = float(rng.uniform(0.08, 0.18)) * side + 2
    dx, dy = (f / (f.std() + 1e-9) * reach for f in field)
    ys, xs = np.mgrid[:height, :width]
    moved = cv2.remap(
        picture,
        (xs + dx).astype(np.float32),
        (ys + dy).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(0.6, 2.0))), np.uint8)


def _wiped(picture: Picture, weight: NDArray[np.float32], side: float, rng: np.random.Generator) -> Picture:
    """Filled from its edge inwards (Telea 2004), as a part fades into what is behind it."""
    hole = (weight > 0.5).astype(np.uint8)
    filled = cv2.inpaint(picture, hole, 5, cv2.INPAINT_TELEA)
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), float(rng.uniform(0.6, 2.0))), np.uint8)


def _mushed(picture: Picture, weight: NDArray[np.float32], side: float, rng: np.random.Generator) -> Picture:
    """Coarse cells, shuffled a little and smoothed: what a latent that means nothing decodes to."""
    height, width = picture.shape[:2]
    cells = cv2.resize(picture, (width // 8, height // 8), interpolation=cv2.INTER_AREA).astype(np.float32)
    cells += rng.normal(0, rng.uniform(6, 22), (*cells.shape[:2], 1))
    grown = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(grown, 0, 255), np.uint8)


_WAYS: tuple[Callable[[Picture, NDArray[np.float32], float, np.random.Generator], Picture], ...] = (
    _blurred,
    _melted,
    _wiped,
    _mushed,
)
