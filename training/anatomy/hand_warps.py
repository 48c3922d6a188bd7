"""Warps that make a hand malformed in any style, and controls: the same warps, which leave it well-formed.

Where ``photo_edits`` cuts out and pastes, and so wants stretched fingers on a plain ground, a warp needs
nothing but MediaPipe's 21 points: it pulls the points, and the pixels about them, somewhere else. Images are
uint8 RGB (H, W, 3), points float32 (21, 2) in pixels, x first.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.anatomy.photo_layers import Rng
from training.anatomy.photo_masks import FINGERS, Floats, Image, palm_size, unit

CORNERS = 8
"""Points along each side of the picture that stay where they are."""
STIFFNESS = 2.0
"""Power of the squared distance in the weights: below 2 a pull is felt at the very point alone."""
GRID_PX = 4
Pull = Callable[[Floats, Rng], "Floats | None"]
"""From the points to where they are pulled; None if this hand cannot be pulled so."""


def warp(image: Image, points: Floats, pulled: Floats) -> Image:
    """The picture with each point, and what is about it, moved to its new place; its border stays.

    Between the points it follows the affine map that fits the near ones best (moving least squares,
    Schaefer et al. 2006), taken backwards, on a coarse grid.
    """
    height, width = image.shape[:2]
    along = np.linspace(0, 1, CORNERS, dtype=np.float32)
    sides = [np.stack([along * (width - 1), np.full(CORNERS, y)], 1) for y in (0, height - 1)]
    sides += [np.stack([np.full(CORNERS, x), along * (height - 1)], 1) for x in (0, width - 1)]
    rim = np.concatenate(sides).astype(np.float32)
    chains = [[0, *chain] for chain in FINGERS]
    start, end = (np.concatenate([_dense(p, chains), rim]) for p in (pulled, points))
    x, y = np.meshgrid(np.arange(0, width + GRID_PX, GRID_PX), np.arange(0, height + GRID_PX, GRID_PX))
    places = np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)
    moved = _least_squares(places, start, end).reshape(*x.shape, 2)
    size = (x.shape[1] * GRID_PX, x.shape[0] * GRID_PX)
    shift = moved - places.reshape(*x.shape, 2)
    full = cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR)
    # The grid's points are the cells' first pixels, a resize takes them for their middles.
    by = np.array([[1, 0, -(GRID_PX - 1) / 2], [0, 1, -(GRID_PX - 1) / 2]], np.float32)
    full = cv2.warpAffine(full, by, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cols, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at = full[:height, :width] + np.stack([cols, rows], -1)
    made = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, np.uint8)


def _dense(points: Floats, chains: list[list[int]]) -> Floats:
    """The points and those half way between neighbours of a chain."""
    halves = [(points[c[i]] + points[c[i + 1]]) / 2 for c in chains for i in range(len(c) - 1)]
    return np.concatenate([points, np.stack(halves)]).astype(np.float32)


def _least_squares(places: Floats, start: Floats, end: Floats) -> Floats:
    """Maps each place by the affine map that takes ``start`` to ``end``, the near points first."""
    apart = ((places[:, None] - start[None]) ** 2).sum(-1) + 1e-3
    weight = apart**-STIFFNESS
    weight /= weight.sum(1, keepdims=True)
    mean_start, mean_end = weight @ start, weight @ end
    from_mean = start[None] - mean_start[:, None]
    to_mean = end[None] - mean_end[:, None]
    own = np.einsum("nk,nki,nkj->nij", weight, from_mean, from_mean) + 1e-3 * np.eye(2, dtype=np.float32)
    cross = np.einsum("nk,nki,nkj->nij", weight, from_mean, to_mean)
    linear = np.linalg.solve(own, cross)
    return np.asarray(np.einsum("ni,nij->nj", places - mean_start, linear) + mean_end, np.float32)


def _finger(rng: Rng, thumb: bool = True) -> int:
    return int(rng.integers(0 if thumb else 1, 5))


def _seen(points: Floats, finger: int, least: float = 0.4) -> bool:
    """True if the finger is seen at a fair length: one that points at the viewer cannot be judged."""
    chain = points[list(FINGERS[finger])]
    return float(np.linalg.norm(chain[3] - chain[0])) > least * palm_size(points)


def _stretched(points: Floats, finger: int, factor: float) -> Floats | None:
    if not _seen(points, finger):
        return None
    chain = list(FINGERS[finger])
    pulled = points.copy()
    root = points[chain[0 if finger else 1]]
    for joint in chain[1 if finger else 2 :]:
        pulled[joint] = root + factor * (points[joint] - root)
    return pulled


def shortened(points: Floats, rng: Rng) -> Floats | None:
    """One finger half as long."""
    return _stretched(points, _finger(rng), float(rng.uniform(0.35, 0.55)))


def lengthened(points: Floats, rng: Rng) -> Floats | None:
    """One finger far too long."""
    return _stretched(points, _finger(rng), float(rng.uniform(1.55, 1.95)))


def _turned(points: Floats, finger: int, joint: int, degrees: float) -> Floats:
    chain = list(FINGERS[finger])
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    pulled = points.copy()
    for outer in chain[joint + 1 :]:
        pulled[outer] = points[chain[joint]] + turn @ (points[outer] - points[chain[joint]])
    return pulled


def kinked(points: Floats, rng: Rng) -> Floats | None:
    """One finger bent sideways at its middle joint."""
    finger = _finger(rng)
    if not _seen(points, finger, 0.55):
        return None
    return _turned(points, finger, 1, float(rng.choice([-1, 1]) * rng.uniform(50, 85)))


def merged(points: Floats, rng: Rng) -> Floats | None:
    """Two neighbouring fingers pulled into one another."""
    first = _finger(rng, thumb=False) if rng.random() < 0.8 else 1
    pair = (first, first + 1) if first < 4 else (3, 4)
    if not all(_seen(points, finger) for finger in pair):
        return None
    pulled = points.copy()
    for a, b in zip(FINGERS[pair[0]][1:], FINGERS[pair[1]][1:], strict=True):
        middle, share = (points[a] + points[b]) / 2, float(rng.uniform(0.1, 0.3))
        pulled[a], pulled[b] = middle + share * (points[a] - middle), middle + share * (points[b] - middle)
    return pulled


def crossed(points: Floats, rng: Rng) -> Floats | None:
    """Two fingers pulled across each other, so that they tangle."""
    first = _finger(rng, thumb=False)
    pair = (first, first + 1) if first < 4 else (3, 4)
    if not all(_seen(points, finger) for finger in pair):
        return None
    pulled = points.copy()
    for joint in (2, 3):
        a, b = FINGERS[pair[0]][joint], FINGERS[pair[1]][joint]
        share = float(rng.uniform(0.6, 1.0))
        pulled[a], pulled[b] = (
            points[a] + share * (points[b] - points[a]),
            points[b] + share * (points[a] - points[b]),
        )
    return pulled


def melted(points: Floats, rng: Rng) -> Floats | None:
    """All joints of the fingers shaken out of place."""
    joints = [joint for chain in FINGERS for joint in chain[1:]]
    pulled = points.copy()
    pulled[joints] += rng.normal(0, rng.uniform(0.09, 0.15), (len(joints), 2)).astype(np.float32) * palm_size(
        points
    )
    return pulled


def swollen(points: Floats, rng: Rng) -> Floats | None:
    """One fingertip's place given to the neighbour's: lengths that no hand has."""
    first = _finger(rng, thumb=False)
    other = first + 1 if first < 4 else 3
    if not all(_seen(points, finger) for finger in (first, other)):
        return None
    longer = _stretched(points, first, float(rng.uniform(1.3, 1.5)))
    return None if longer is None else _stretched(longer, other, float(rng.uniform(0.4, 0.6)))


def swayed(points: Floats, rng: Rng) -> Floats | None:
    """Control: every finger turned a little at its knuckle and a few percent longer or shorter."""
    pulled = points.copy()
    for finger in range(5):
        turned = _turned(pulled, finger, 0 if finger else 1, float(rng.uniform(-9, 9)))
        stretched = _stretched(turned, finger, float(rng.uniform(0.92, 1.08)))
        pulled = turned if stretched is None else stretched
    return pulled


def tilted(points: Floats, rng: Rng) -> Floats | None:
    """Control: the whole hand turned, scaled and moved in its picture."""
    angle, scale = np.radians(rng.uniform(-18, 18)), float(rng.uniform(0.85, 1.12))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    centre = points.mean(0)
    shift = rng.normal(0, 0.08, 2).astype(np.float32) * palm_size(points)
    return np.asarray((points - centre) @ linear.T + centre + shift, np.float32)


def shaken_arm(points: Floats, rng: Rng) -> Floats | None:
    """Control: the wrist pulled along the arm, the fingers kept: a large pull that harms no finger."""
    pulled = points.copy()
    away = unit(points[0] - points[9])
    pulled[0] += away * float(rng.uniform(-0.15, 0.3)) * palm_size(points)
    return swayed(pulled, rng)


DEFECTS: dict[str, Pull] = {
    "shortened": shortened, "lengthened": lengthened, "kinked": kinked, "merged": merged, "crossed": crossed,
    "melted": melted, "swollen": swollen,
}  # fmt: skip
CONTROLS: dict[str, Pull] = {"swayed": swayed, "tilted": tilted, "shaken_arm": shaken_arm}
