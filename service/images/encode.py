"""Encoding of pixels as PNG: equal pixels give equal bytes, without any metadata."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from detectors.detections import Image, Mask

Alpha = NDArray[np.uint8]
"""uint8, shape (H, W); 255 = opaque."""

# Pictures hold noise, in which zlib spends most of its time on the search for repetitions and finds few. Runs
# alone take 1/1.4 to 1/1.8 of the time, for 0.9 to 1.2 times the bytes (``docs/measurements.md``).
_COMPRESS_LEVEL, _STRATEGY = 3, zlib.Z_RLE


def encode_image(image: Image, alpha: Alpha | None = None) -> bytes:
    """Encodes an uint8 RGB (H, W, 3) picture as PNG, with its alpha plane (H, W) if given."""
    pixels = image if alpha is None else np.dstack((image, alpha))
    return _encode(PillowImage.fromarray(pixels))


def encode_mask(mask: Mask) -> bytes:
    """Encodes a mask (H, W) in [0, 1] as a grey PNG; 255 = repaint.

    Values are rounded up, so that 0 in the file is exactly 0 in the mask: that pixel was not touched.
    """
    return _encode(PillowImage.fromarray(np.ceil(np.clip(mask, 0.0, 1.0) * 255.0).astype(np.uint8)))


def _encode(picture: PillowImage.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", compress_level=_COMPRESS_LEVEL, compress_type=_STRATEGY)
    return buffer.getvalue()
