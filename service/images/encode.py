"""Pixels to PNG bytes: the same pixels give the same bytes, and nothing else goes in."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from detectors.detections import Image, Mask

Alpha = NDArray[np.uint8]
"""uint8, shape (H, W); 255 = opaque."""

# Pictures hold noise, in which zlib looks for repetitions for most of its time and finds few. Runs alone are
# found 1.4 to 1.8 times as fast, for 0.9 to 1.2 times the bytes (``docs/measurements.md``).
_COMPRESS_LEVEL, _STRATEGY = 3, zlib.Z_RLE


def encode_image(image: Image, alpha: Alpha | None = None) -> bytes:
    """PNG bytes of an uint8 RGB (H, W, 3) picture, with its alpha plane (H, W) where it has one."""
    pixels = image if alpha is None else np.dstack((image, alpha))
    return _encode(PillowImage.fromarray(pixels))


def encode_mask(mask: Mask) -> bytes:
    """Grey PNG bytes of a mask (H, W) in [0, 1]; 255 = repaint.

    Rounded up, so that what is 0 in the file is 0 in the mask: nothing was touched there.
    """
    return _encode(PillowImage.fromarray(np.ceil(np.clip(mask, 0.0, 1.0) * 255.0).astype(np.uint8)))


def _encode(picture: PillowImage.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", compress_level=_COMPRESS_LEVEL, compress_type=_STRATEGY)
    return buffer.getvalue()
