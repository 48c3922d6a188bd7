"""A large array gone over in parts, so that what is made on the way has the size of one part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Ask = Callable[[], None]
"""Called between two parts; what it raises ends the work."""
TILE_PX = 256
BAND_PX = 64
Place = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One part, and what a filter has to see around it.

    Attributes:
        inner: the part itself, in the whole array.
        outer: the same with its surroundings, as far as there are any.
        core: where ``inner`` lies in ``outer``.
    """

    inner: Place
    outer: Place
    core: Place


def go_on() -> None:
    """The ``Ask`` of work that nobody can end."""


def tiles(size_hw: tuple[int, ...], halo_px: int = 0) -> Iterator[Tile]:
    """All of an array of this height and width in squares; a filter looks ``halo_px`` far."""
    return _parts(size_hw, TILE_PX, TILE_PX, halo_px)


def bands(size_hw: tuple[int, ...], halo_px: int = 0) -> Iterator[Tile]:
    """The same in bands of whole rows."""
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
