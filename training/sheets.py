"""Numbered tiles on a page, for pictures that are labelled by eye."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from detectors.detections import Image


def number_tile(tile: Image, number: int) -> None:
    """Writes a number into the upper left corner, in place."""
    cv2.rectangle(tile, (0, 0), (34, 15), (255, 255, 255), cv2.FILLED)
    cv2.putText(tile, str(number), (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1)


def page_of(tiles: Sequence[Image], columns: int, rows: int) -> Image:
    """Tiles of one size in rows, white where there are too few for the page."""
    full = [*tiles, *[np.full_like(tiles[0], 255)] * (columns * rows - len(tiles))]
    return np.vstack([np.hstack(full[at : at + columns]) for at in range(0, len(full), columns)])
