"""Edits of photographed hands: malformed fingers, and controls: harmless changes done with the same tools.

Every edit takes a ``Hand`` and a random generator, and returns an ``Edited``, or None if it cannot be done.
Images are uint8 RGB (H, W, 3), masks bool (H, W), alphas float32 (H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from training.anatomy.photo_layers import (
    Layer,
    Rng,
    blend,
    cut_out,
    fill_background,
    ramp,
    soft_edge,
    turn,
    web,
    without,
)
from training.anatomy.photo_masks import Floats, Hand, Image, Mask, angle_deg, blur, dilate, is_extended, unit

WEB = 0.42
"""Where a finger leaves the palm: share of its first bone, from the knuckle."""


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """An edited picture and the mask of the hand in it, without the forearm."""

    image: Image
    mask: Mask


def extended(hand: Hand, fingers: tuple[int, ...] = (1, 2, 3, 4)) -> list[int]:
    """Those of the fingers that are stretched out and lie well in the mask."""
    good = [f for f in fingers if is_extended(hand.points, f)]
    return [f for f in good if 0.045 * hand.size < hand.half_width(f) < 0.17 * hand.size]


def base_of(finger: int) -> float:
    """Returns the place at which the finger leaves the palm; the thumb's first bone lies in the palm."""
    return WEB if finger else 1.2


def missing(hand: Hand, rng: Rng) -> Edited | None:
    """One finger of an open hand is gone, and the palm closed where it was."""
    if len(extended(hand)) < 4:
        return None
    thumb = is_extended(hand.points, 0)
    finger = 1 + int(rng.choice(4, p=(0.15, 0.35, 0.35, 0.15) if thumb else (0, 0.5, 0.5, 0)))
    x, y = hand.chain(finger)[0]
    rows, cols = np.mgrid[: hand.skin.shape[0], : hand.skin.shape[1]]
    bone = float(np.linalg.norm(hand.chain(finger)[1] - hand.chain(finger)[0]))
    knuckle = np.hypot(cols - x, rows - y) < rng.uniform(0.42, 0.6) * bone
    hole = hand.finger_mask(finger, 0.15) & ~knuckle
    plate = without(hand, hole, rng)
    if plate is None:
        return None
    away = np.asarray(cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    own = hand.mask & ~hole & ((hand.owner == finger) | (hand.owner == 5))
    shade = 1 - 0.22 * (1 - ramp(away, 0.0, 0.07 * hand.size)) * own
    shaded = np.clip(plate * shade[..., None], 0, 255)
    cut = blur(dilate(hole, 1.5) & ~dilate(hole, -1.5) & dilate(own, 1.5), 0.8)
    return Edited(blend(shaded, blur(shaded, 0.9), cut), hand.mask & ~hole)


def doubled(hand: Hand, rng: Rng) -> Edited | None:
    """A finger a second time: in a gap, at the outer side of an open hand, or forked at mid-length."""
    fingers = extended(hand, (0, 1, 2, 3, 4))
    options: list[tuple[Mask, Floats]] = []
    if len(fingers) >= 4 and {1, 2, 3, 4} <= set(fingers):
        for a, b in pairwise(fingers):
            if 22 < abs(angle_deg(hand.direction(a), hand.direction(b))) < 110:
                options.append(_between(hand, a, b, rng))
        options += [_beside(hand, 4, 13, rng)] * 2
        if 0 in fingers:
            options += [_beside(hand, 0, 5, rng)] * 2
    for finger in fingers if len(options) < 2 else ():
        if finger:
            angle = float(rng.uniform(32, 55) * rng.choice([-1, 1]))
            shift = 0.25 * (hand.chain(finger)[0] - hand.chain(finger)[1])
            options.append((hand.finger_mask(finger, -0.1, 1), turn(hand.chain(finger)[1], angle, shift)))
    if not options:
        return None
    mask, matrix = options[int(rng.integers(len(options)))]
    layer = cut_out(hand, mask).moved(matrix)
    gap = 1 - 0.3 * blur(hand.mask, 0.03 * hand.size)
    seen = layer.alpha * (1 - soft_edge(hand.skin, 0.8))
    whole = float(layer.alpha.sum())
    if float(seen.sum()) < 0.6 * whole or _leaves(layer.alpha, mask):
        return None
    return Edited(blend(hand.image, layer.colours * gap[..., None], seen), hand.mask | (seen > 0.5))


def _between(hand: Hand, a: int, b: int, rng: Rng) -> tuple[Mask, Floats]:
    """A copy of one of two neighbouring fingers, turned and moved into the gap: its mask now, and the map."""
    source, other = (b, a) if a == 0 or rng.random() < 0.5 else (a, b)
    part = float(rng.uniform(0.45, 0.55) if a else rng.uniform(0.25, 0.45))
    spread = angle_deg(hand.direction(source), hand.direction(other))
    root = hand.knuckle(source)
    shift = (hand.knuckle(other) - root) * (part if a else 0.5 * part)
    return hand.finger_mask(source), turn(root, part * spread, shift, float(rng.uniform(0.85, 1.0)))


def _beside(hand: Hand, source: int, inner: int, rng: Rng) -> tuple[Mask, Floats]:
    """A copy of an outer finger, moved outwards and turned away from the hand: its mask now, and the map."""
    root, along = hand.knuckle(source), hand.direction(source)
    out = unit(root - hand.points[inner])
    sign = float(np.sign(angle_deg(along, out)))
    shift = hand.size * (float(rng.uniform(0.02, 0.1)) * out - float(rng.uniform(0.05, 0.16)) * along)
    angle, scale = sign * float(rng.uniform(24, 42)), float(rng.uniform(0.85, 1.0))
    return hand.finger_mask(source), turn(root, angle, shift, scale)


def _leaves(alpha: Floats, source: Mask) -> bool:
    """True if a good part of a moved layer fell out of the picture."""
    return float(alpha.sum()) < 0.6 * float(source.sum())


def bent(hand: Hand, rng: Rng) -> Edited | None:
    """A finger bends sharply sideways at its middle joint."""
    fingers = extended(hand)
    breadth = float(np.linalg.norm(hand.points[5] - hand.points[17]))
    if not fingers or breadth < 0.45 * hand.size:  # seen from the side, it might bend like that
        return None
    finger = int(rng.choice(fingers))
    joint, width = hand.chain(finger)[1], hand.half_width(finger)
    rows, cols = np.mgrid[: hand.skin.shape[0], : hand.skin.shape[1]]
    disc = np.hypot(cols - joint[0], rows - joint[1]) < 1.02 * width
    part = hand.finger_mask(finger, 0.0, 1)
    plate = without(hand, part & ~disc, rng)
    if plate is None:
        return None
    layer = cut_out(hand, part | (disc & (hand.owner == finger)))
    rest = hand.mask & ~part
    best: tuple[float, Layer] | None = None
    for sign in (-1.0, 1.0):
        moved = layer.moved(turn(joint, sign * float(rng.uniform(50, 90))))
        free = float((moved.alpha * ~hand.mask).sum()) / max(1.0, float(moved.alpha.sum()))
        if not _leaves(moved.alpha, part) and (best is None or free + float(rng.uniform(0, 0.2)) > best[0]):
            best = (free, moved)
    if best is None or best[0] < 0.3:
        return None
    moved = best[1]
    shadow = blur(moved.alpha, 0.05 * hand.size) * (1 - moved.alpha) * rest
    image = blend(plate * (1 - 0.3 * shadow)[..., None], moved.colours, moved.alpha)
    return Edited(image, rest | (moved.alpha > 0.5) | (disc & hand.mask))


def _stretched(hand: Hand, finger: int, factor: float, rng: Rng) -> Edited | None:
    """The finger's shaft stretched along the finger; its last bone keeps its length."""
    chain, axis = hand.chain(finger), hand.direction(finger)
    plate = without(hand, hand.finger_mask(finger, base_of(finger)), rng, seam=True)
    if plate is None:
        return None
    rows, cols = np.mgrid[: hand.skin.shape[0], : hand.skin.shape[1]].astype(np.float32)
    root = chain[0] + (base_of(finger) - 0.13) * (chain[1] - chain[0])
    t = (cols - root[0]) * axis[0] + (rows - root[1]) * axis[1]
    total = float((chain[3] - root) @ axis)
    shaft = float((chain[2] - root) @ axis)
    long_shaft = shaft + (factor - 1) * total
    if long_shaft < 0.12 * total:
        return None
    back = np.where(t < 0, t, np.where(t < long_shaft, t * shaft / long_shaft, t - long_shaft + shaft)) - t
    tip = chain[3] + (factor - 1) * total * axis + axis * hand.half_width(finger)
    if not (0 <= tip[0] < cols.shape[1] and 0 <= tip[1] < cols.shape[0]):
        return None
    fade = ramp(hand.along(finger), base_of(finger) - 0.32, base_of(finger))
    layer = cut_out(hand, hand.finger_mask(finger))
    at_x, at_y = cols + back * axis[0], rows + back * axis[1]
    colours = cv2.remap(layer.colours, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.asarray(cv2.remap(layer.alpha, at_x, at_y, cv2.INTER_LINEAR) * fade, np.float32)
    rest = hand.mask & ~hand.finger_mask(finger, base_of(finger))
    return Edited(blend(plate, np.asarray(colours, np.float32), alpha), rest | (alpha > 0.5))


def long(hand: Hand, rng: Rng) -> Edited | None:
    """One finger far too long."""
    fingers = extended(hand, (0, 1, 2, 3, 4))
    if not fingers:
        return None
    finger = int(rng.choice(fingers))
    factor = rng.uniform(1.75, 2.1) if finger == 4 or len(fingers) < 3 else rng.uniform(1.55, 1.85)
    return _stretched(hand, finger, float(factor), rng)


def short(hand: Hand, rng: Rng) -> Edited | None:
    """One finger far too short, on a hand whose other fingers are stretched out."""
    fingers = extended(hand)
    choice = [f for f in fingers if f != 4] if len(fingers) == 4 else [f for f in fingers if f == 2]
    if len(fingers) < 3 or not choice:
        return None
    return _stretched(hand, int(rng.choice(choice)), float(rng.uniform(0.36, 0.52)), rng)


def fused(hand: Hand, rng: Rng) -> Edited | None:
    """The gap between two neighbouring fingers filled with their skin."""
    fingers = extended(hand)
    pairs = [
        (a, b)
        for a, b in pairwise(fingers)
        if b - a == 1 and 7 < abs(angle_deg(hand.direction(a), hand.direction(b))) < 32
    ]
    if not pairs:
        return None
    pair = pairs[int(rng.integers(len(pairs)))]
    fill, covered = web(hand, pair, float(rng.uniform(0.7, 0.97)), float(rng.uniform(-0.05, 0.1)))
    thin = 0.35 * min(hand.half_width(f) for f in pair)
    kept = soft_edge(dilate(hand.skin, -thin), 0.0)
    alpha = soft_edge(covered | hand.skin, 0.0) * blur(covered, 1.0) * (1 - blur(kept, 0.02 * hand.size))
    return Edited(blend(hand.image, fill, alpha), hand.mask | (covered & (alpha > 0.3)))


def reposed(hand: Hand, rng: Rng) -> Edited | None:
    """Control: a finger cut out, its place filled, and pasted back a few degrees turned."""
    fingers = extended(hand, (0, 1, 2, 3, 4))
    if not fingers:
        return None
    finger = int(rng.choice(fingers))
    plate = without(hand, hand.finger_mask(finger, base_of(finger)), rng, seam=True)
    if plate is None:
        return None
    fade = ramp(hand.along(finger), base_of(finger) - 0.32, base_of(finger))
    matrix = turn(hand.knuckle(finger), float(rng.uniform(-6, 6)))
    layer = cut_out(hand, hand.finger_mask(finger), fade).moved(matrix)
    rest = hand.mask & ~hand.finger_mask(finger)
    if float((layer.alpha * rest).sum()) > 0.12 * float(layer.alpha.sum()):
        return None
    mask = rest | (layer.alpha > 0.5) | (hand.mask & (fade < 1))
    return Edited(blend(plate, layer.colours, layer.alpha), mask)


def resized(hand: Hand, rng: Rng) -> Edited | None:
    """Control: a finger a few percent longer or shorter."""
    fingers = extended(hand, (0, 1, 2, 3, 4))
    return (
        _stretched(hand, int(rng.choice(fingers)), float(rng.uniform(0.93, 1.07)), rng) if fingers else None
    )


def backdrop(hand: Hand, rng: Rng) -> Edited | None:
    """Control: background the shape of a finger, close to the hand, replaced by other background."""
    finger = int(rng.choice(extended(hand) or [1]))
    shape = dilate(hand.finger_mask(finger, 0.2), 0.04 * hand.size).astype(np.float32)
    for _ in range(20):
        matrix = turn(hand.chain(finger)[0], float(rng.uniform(-120, 120)), rng.normal(0, 0.6, 2) * hand.size)
        hole = np.asarray(cv2.warpAffine(shape, matrix, shape.shape[::-1]), np.float32) > 0.5
        overlap = float((hole & hand.skin).sum())
        near = bool((dilate(hole, 4) & hand.skin).any())
        if near and hole.sum() > 0.8 * shape.sum() and overlap < 0.4 * hole.sum():
            hole &= ~dilate(hand.skin, 1)
            image = fill_background(hand.image, hole, hand.skin | hole, rng)
            return None if image is None else Edited(image, hand.mask)
    return None


Edit = Callable[[Hand, Rng], Edited | None]
DEFECTS: dict[str, Edit] = {
    "missing": missing,
    "doubled": doubled,
    "bent": bent,
    "fused": fused,
    "long": long,
    "short": short,
}
CONTROLS: dict[str, Edit] = {"reposed": reposed, "resized": resized, "backdrop": backdrop}
