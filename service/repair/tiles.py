"""Iteration over a large array in parts, so that temporary arrays have the size of one part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Ask = Callable[[], None]
"""Called between two parts; an exception from it ends the work."""
TILE_PX = 256
BAND_PX = 64
Place = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One part, and the surroundings that a filter needs.

    Attributes:
        inner: the part itself, in the whole array.
        outer: the part with its surroundings, cut at the array's edges.
        core: the position of ``inner`` in ``outer``.
    """

    inner: Place
    outer: Place
    core: Place


def go_on() -> None:
    """Does nothing: the ``Ask`` of work that cannot be ended early."""


def tiles(size_hw: tuple[int, ...], halo_px: int = 0) -> Iterator[Tile]:
    """Yields an array of this height and width in squares, with ``halo_px`` of surroundings for a filter."""
    return _parts(size_hw, TILE_PX, TILE_PX, halo_px)


def bands(size_hw: tuple[int, ...], halo_px: int = 0) -> Iterator[Tile]:
    """Yields an array of this height and width in bands of whole rows; see ``tiles``."""
    return _parts(size_hw, BAND_PX, max(1, size_hw[1]), halo_px)


def _parts(size_hw: tuple[int, ...], rows_px: int, columns_px: int, halo_px: int) -> Iterator[Tile]:
    height, width = size_hw
    for rows in _along(height, rows_px, halo_px):
        for columns in _along(width, columns_px, halo_px):
            yield Tile(*zip(rows, columns, strict=True))


def _along(length: int, side: int, halo_px: int) -> Iterator[tuple[slice, slice, slice]]:
    for start in range(0, length, side):
        stop = min(start + side, length)
        first, last = max(0, start - halo_px), min(stop + halo_px, length)
        yield slice(start, stop), slice(first, last), slice(start - first, stop - first)
