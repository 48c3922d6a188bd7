"""Cut-outs of a hand that can be moved, and holes in the picture that are filled with background.

Images are uint8 RGB (H, W, 3), masks bool (H, W), alphas float32 (H, W) in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.anatomy.photo_masks import Floats, Hand, Image, Mask, blur, dilate

Rng = np.random.Generator
TRIES = 400
"""How many shifts are tried for the background of a hole."""


def bleed(image: Image, mask: Mask, sigma: float) -> Floats:
    """The mask's colours, spread beyond its edge so that a soft edge takes none from outside: (H, W, 3)."""
    weight = mask.astype(np.float32)
    spread = blur(image * weight[..., None], sigma) / np.maximum(blur(weight, sigma), 1e-4)[..., None]
    return np.where(mask[..., None], image.astype(np.float32), np.clip(spread, 0, 255)).astype(np.float32)


def blend(under: Image | Floats, over: Image | Floats, alpha: Floats) -> Image:
    """``over`` laid on ``under`` with an alpha of (H, W)."""
    a = alpha[..., None]
    mixed = under.astype(np.float32) * (1 - a) + over.astype(np.float32) * a
    return np.asarray(np.clip(np.rint(mixed), 0, 255), np.uint8)


def _shifted(image: NDArray[np.generic], dx: int, dy: int) -> NDArray[np.generic]:
    """Returns the image shifted by (-dx, -dy); outside the image the nearest pixel is taken."""
    rows = np.clip(np.arange(image.shape[0]) + dy, 0, image.shape[0] - 1)
    cols = np.clip(np.arange(image.shape[1]) + dx, 0, image.shape[1] - 1)
    return image[rows][:, cols]


def _best_shift(
    image: Image, hole: Mask, rim: Mask, bad: Mask, rng: Rng, length_px: tuple[float, float]
) -> tuple[int, int] | None:
    """The shift (dx, dy), of a length in the range, that brings the best background to the hole."""
    inside, around = (
        np.argwhere(m)[rng.choice(int(m.sum()), min(int(m.sum()), 250), replace=False)] for m in (hole, rim)
    )
    length, angle = rng.uniform(*length_px, TRIES), rng.uniform(0, 2 * np.pi, TRIES)
    shift = np.rint(np.stack([np.sin(angle), np.cos(angle)], -1) * length[:, None]).astype(int)
    padded = np.pad(bad, 1, constant_values=True)
    top = np.array(padded.shape) - 1
    at = np.clip(np.concatenate([inside, around]) + shift[:, None] + 1, 0, top)
    wrong = padded[at[..., 0], at[..., 1]]
    ok = ~wrong[:, len(inside) :]
    fits = (wrong[:, : len(inside)].mean(axis=1) <= 0.02) & (ok.mean(axis=1) >= 0.6)
    if not fits.any():
        return None
    soft = blur(image, 1.0)
    spot = np.clip(at[fits, len(inside) :] - 1, 0, top - 2)
    gap = np.abs(soft[spot[..., 0], spot[..., 1]] - soft[around[:, 0], around[:, 1]]).mean(axis=-1)
    cost = (gap * ok[fits]).sum(axis=1) / ok[fits].sum(axis=1) + 4.0 * length[fits] / length_px[1]
    dy, dx = shift[fits][int(cost.argmin())]
    return int(dx), int(dy)


def fill_background(image: Image, hole: Mask, taken: Mask, rng: np.random.Generator) -> Image | None:
    """Fills the hole with a piece of background from nearby.

    Of many shifts, it takes the one whose piece is free of ``taken`` pixels and agrees best with the rim
    of the hole; the difference at the rim is then spread over the hole.

    Args:
        hole: what is to be filled.
        taken: pixels that are no background (the hand, the arm), where nothing may be copied from.

    Returns:
        The filled image, or None if there is no such piece nearby.
    """
    ys, xs = np.nonzero(hole)
    if len(ys) == 0:
        return None
    extent = max(np.ptp(ys), np.ptp(xs)) + 1
    thick = 2.0 * float(np.asarray(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5)).max()) + 2
    rim = dilate(hole, max(2.0, 0.3 * thick)) & ~hole & ~taken
    if int(rim.sum()) < 12:
        return None
    best = _best_shift(image, hole, rim, taken | hole, rng, (0.9 * thick, thick + 1.5 * extent))
    if best is None:
        return None
    piece = np.asarray(_shifted(image, *best), np.float32)
    trusted = (rim & ~np.asarray(_shifted(taken | hole, *best), np.bool_)).astype(np.float32)
    tone = _spread((image - piece) * trusted[..., None], trusted, thick)
    return blend(image, piece + np.clip(tone, -60, 60), blur(hole, 1.0))


def _spread(values: Floats, weight: Floats, reach: float) -> Floats:
    """Weighted values (H, W, 3), carried to where there are none: a smooth mean, the nearer first."""
    full, step = (values.shape[1], values.shape[0]), max(1, round(reach / 8))
    small = (full[0] // step + 1, full[1] // step + 1)
    values, weight = (cv2.resize(v, small, interpolation=cv2.INTER_AREA) for v in (values, weight))
    total, norm = np.zeros_like(values), np.full(weight.shape, 1e-6, np.float32)
    for share in (0.25, 0.5, 1.0):
        sigma, scale = share * reach / step, 4.0 ** (-share * 4)
        total += scale * blur(values, sigma)
        norm += scale * blur(weight, sigma)
    mean = cv2.resize(total / norm[..., None], full, interpolation=cv2.INTER_LINEAR)
    return np.asarray(mean, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A cut-out: float32 colours (H, W, 3), spread beyond its edge, and its alpha."""

    colours: Floats
    alpha: Floats

    def moved(self, matrix: Floats) -> Layer:
        """The layer under a 2×3 affine map of source to target pixels."""
        size = (self.alpha.shape[1], self.alpha.shape[0])
        colours = cv2.warpAffine(
            self.colours, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        alpha = cv2.warpAffine(self.alpha, matrix, size, flags=cv2.INTER_LINEAR)
        return Layer(np.asarray(colours, np.float32), np.asarray(alpha, np.float32))


def soft_edge(mask: Mask, inset: float = 0.6) -> Floats:
    """An alpha with an edge two pixels soft that lies ``inset`` pixels inside the mask."""
    inner = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    return np.asarray(np.clip((blur(inner, 0.7) - inset) / 1.6, 0, 1), np.float32)


def cut_out(hand: Hand, mask: Mask, fade: Floats | None = None) -> Layer:
    """The masked part of the picture as a layer; ``fade`` in [0, 1] makes its base transparent."""
    alpha = soft_edge(mask)
    colours = bleed(hand.image, dilate(mask, -max(1.0, 0.012 * hand.size)) & mask, max(1.5, 0.03 * hand.size))
    return Layer(colours, alpha if fade is None else alpha * fade)


def turn(
    pivot: Floats, degrees: float, shift: NDArray[np.floating] | None = None, scale: float = 1.0
) -> Floats:
    """The 2×3 map that rotates about ``pivot`` (from x towards y) and then moves by ``shift``."""
    rad = np.radians(degrees)
    linear = scale * np.array([[np.cos(rad), -np.sin(rad)], [np.sin(rad), np.cos(rad)]])
    offset = pivot - linear @ pivot + (0 if shift is None else shift)
    return np.column_stack([linear, offset]).astype(np.float32)


def ramp(values: Floats, start: float, end: float) -> Floats:
    """0 up to ``start``, 1 from ``end`` on, smooth between."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def without(hand: Hand, hole: Mask, rng: Rng, seam: bool = False) -> Image | None:
    """The picture with a part of the hand replaced by background, but for a rim beside other fingers.

    With ``seam`` the rim beside the palm stays too: something will be put back there.
    """
    others = hand.mask & ~np.isin(hand.owner, np.unique(hand.owner[hole]))
    beside = dilate(others if seam else others & (hand.owner < 5), max(1.0, 0.012 * hand.size))
    grown = (hole | dilate(hole, max(2.0, 0.035 * hand.size)) & ~hand.skin) & ~beside
    return fill_background(hand.image, grown, hand.skin | grown, rng)


def web(hand: Hand, pair: tuple[int, int], end: float, bulge: float) -> tuple[Floats, Mask]:
    """Skin between two fingers: colours (H, W, 3), and where they hold.

    Laid out on a grid of u (along the fingers, up to ``end`` of them, ``bulge`` more in the middle) and v
    (across, 0 to 1). The colours are those of the nearer finger, mirrored about its edge,
    softly joined in the middle.
    """
    u = np.linspace(0.1, 1.0, int(2.5 * hand.size), dtype=np.float32)[:, None]
    v = np.linspace(0, 1, int(1.6 * hand.size), dtype=np.float32)[None]
    reach = u * (end + bulge * 4 * v * (1 - v))
    knots = np.linspace(0, 1, 4)
    axes = [np.stack([np.interp(reach, knots, hand.chain(f)[:, k]) for k in (0, 1)], -1) for f in pair]
    across = axes[1] - axes[0]
    gap = np.linalg.norm(across, axis=-1)
    into = across / np.maximum(gap, 1e-3)[..., None]
    image = hand.image.astype(np.float32)
    sides: list[Floats] = []
    for axis, sign, share, finger in ((axes[0], 1, v, pair[0]), (axes[1], -1, 1 - v, pair[1])):
        room = 0.7 * hand.half_width(finger)
        inside = room - np.abs((share * gap) % (2 * room) - room)
        spot = (axis + sign * inside[..., None] * into).astype(np.float32)
        sides.append(np.asarray(cv2.remap(image, spot[..., 0], spot[..., 1], cv2.INTER_LINEAR), np.float32))
    weight = ramp(v, 0.3, 0.7)[..., None]
    dip = 1 - 0.1 * np.exp(-(((v - 0.5) / 0.15) ** 2))[..., None]
    colours = (sides[0] * (1 - weight) + sides[1] * weight) * dip
    xy = np.rint(axes[0] + v[..., None] * across).astype(int).reshape(-1, 2)
    ok = ((xy >= 0) & (xy < [image.shape[1], image.shape[0]])).all(axis=1)
    total, count = np.zeros_like(image), np.zeros(image.shape[:2], np.float32)
    np.add.at(total, (xy[ok, 1], xy[ok, 0]), colours.reshape(-1, 3)[ok])
    np.add.at(count, (xy[ok, 1], xy[ok, 0]), 1.0)
    covered = cv2.morphologyEx((count > 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    fill = blur(total, 0.6) / np.maximum(blur(count, 0.6), 1e-4)[..., None]
    return np.asarray(fill, np.float32), np.asarray(covered, np.bool_)
