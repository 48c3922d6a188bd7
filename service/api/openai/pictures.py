"""Conversion of pictures and masks from and to the formats of OpenAI's clients."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image as Pillow

from service.api.openai.shapes import Format, refused
from service.core.errors import InvalidImage
from service.images.decode import UploadLimits, read_image
from service.images.encode import encode_mask

_OURS = UploadLimits(max_bytes=1 << 30, max_pixels=1 << 28)
"""No further limits: the service accepted the picture before, or made it."""
_BEST = 95
"""Pillow's recommended maximum for JPEG: above it, files grow without better pictures."""


def our_mask(content: bytes, limits: UploadLimits) -> bytes:
    """Converts OpenAI's mask to ours: the fully transparent pixels become white, to be repainted.

    Raises:
        Refused: if it is not a picture, or has no transparency.
        TooLarge: if it is too large.
    """
    try:
        alpha = read_image(content, limits).alpha
    except InvalidImage as error:
        raise refused("mask", error.detail, error.allowed) from error
    if alpha is None or alpha.min() > 0:
        raise refused("mask", "nothing in it is fully transparent", "a PNG with alpha; 0 = redraw")
    return encode_mask((alpha == 0).astype(np.float32))


def as_base64(picture: bytes, kind: Format, compression: int | None) -> str:
    """Converts a stored PNG, or a preview of any kind, to the requested format.

    Args:
        picture: the bytes of a picture that this service made.
        kind: the requested format.
        compression: the quality of a JPEG or WebP, 0 to 100; None for the best.
    """
    if (Pillow.open(BytesIO(picture)).format or "").lower() != kind:
        buffer = BytesIO()
        quality = _BEST if compression is None else min(compression, _BEST)
        # In sRGB: a JPEG has no gamma, and not every reader applies a profile.
        Pillow.fromarray(read_image(picture, _OURS).image).save(buffer, kind.upper(), quality=quality)
        picture = buffer.getvalue()
    return base64.b64encode(picture).decode()
