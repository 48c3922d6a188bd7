"""Backgrounds of the bodies: plain, graded, outdoors, patterned."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats

PLAIN_COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (0.93, 0.93, 0.92),
    "grey": (0.55, 0.56, 0.58),
    "black": (0.09, 0.09, 0.10),
    "blue": (0.30, 0.47, 0.78),
    "green": (0.33, 0.60, 0.38),
    "red": (0.75, 0.24, 0.24),
    "yellow": (0.90, 0.80, 0.36),
    "pink": (0.90, 0.65, 0.72),
}


def jittered(
    colour: tuple[float, float, float] | Floats, rng: np.random.Generator, spread: float = 0.05
) -> Floats:
    """A colour near the given one, in [0, 1]."""
    return np.clip(np.asarray(colour) + rng.uniform(-spread, spread, 3), 0, 1).astype(np.float32)


def plain(size_px: int, colour: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One colour, a little lighter at one end and darker in the corners."""
    y, x = np.mgrid[0:size_px, 0:size_px] / size_px - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    shade = (
        1
        + rng.uniform(0, 0.25) * (np.cos(angle) * x + np.sin(angle) * y)
        - rng.uniform(0, 0.35) * (x * x + y * y)
    )
    return _bytes(colour * shade[..., None])


def outdoors(size_px: int, horizon: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sky above, ground below; ``horizon`` is a share of the height from the top."""
    sky = jittered([(0.62, 0.78, 0.93), (0.80, 0.86, 0.92), (0.93, 0.80, 0.66)][int(rng.integers(3))], rng)
    ground = jittered([(0.42, 0.56, 0.28), (0.76, 0.68, 0.50), (0.50, 0.42, 0.33)][int(rng.integers(3))], rng)
    y = np.linspace(0, 1, size_px)[:, None, None]
    above = sky + (1 - sky) * 0.5 * np.clip(y / max(horizon, 0.01), 0, 1)
    below = ground * (0.8 + 0.35 * np.clip((y - horizon) / (1 - horizon), 0, 1))
    edge = np.clip((y - horizon) * size_px / 3 + 0.5, 0, 1)
    return _bytes(np.broadcast_to(above + edge * (below - above), (size_px, size_px, 3)))


def patterned(size_px: int, rng: np.random.Generator, held_out: bool) -> NDArray[np.uint8]:
    """Stripes, checks, spots or clouds in two colours; held-out patterns have other scales."""
    a, b = rng.uniform(0.1, 0.95, 3), rng.uniform(0.1, 0.95, 3)
    b = a + (b - a) * rng.uniform(0.25, 0.8)
    angle = rng.uniform(0, np.pi)
    period = size_px / (rng.uniform(2.0, 5.0) if held_out else rng.uniform(5.0, 12.0))
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    kind = int(rng.integers(4))
    if kind == 0:
        mix = np.sin(2 * np.pi * u / period) * 3
    elif kind == 1:
        mix = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period) * 6
    elif kind == 2:
        mix = (np.cos(2 * np.pi * u / period) + np.cos(2 * np.pi * v / period) - 0.8) * 4
    else:
        cells = max(2, int(size_px / period))
        mix = cv2.resize(
            rng.normal(0, 1.2, (cells, cells)).astype(np.float32),
            (size_px,) * 2,
            interpolation=cv2.INTER_CUBIC,
        )
    return _bytes(a + (b - a) * (np.clip(mix, -1, 1) / 2 + 0.5)[..., None])


def with_shadow(
    background: NDArray[np.uint8], centre_px: Floats, radii_px: tuple[float, float], depth: float
) -> NDArray[np.uint8]:
    """A soft dark ellipse on the ground, so that bodies stand rather than float."""
    size = background.shape[0]
    y, x = np.mgrid[0:size, 0:size]
    near = np.exp(-(((x - centre_px[0]) / radii_px[0]) ** 2 + ((y - centre_px[1]) / radii_px[1]) ** 2))
    return np.asarray(background * (1 - depth * near[..., None]), np.uint8)


def _bytes(colours: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(colours, 0, 1) * 255 + 0.5, np.uint8)
