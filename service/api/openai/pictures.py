"""Pictures as OpenAI's clients send and want them."""

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
"""The service has let the picture in, or made it."""
_BEST = 95
"""Pillow's own advice for JPEG: above that, files grow and pictures do not get better."""


def our_mask(content: bytes, limits: UploadLimits) -> bytes:
    """Their mask as ours: what is fully transparent there is white here, and repainted.

    Raises:
        Refused: if it is no picture, or has no transparency.
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
    """A stored PNG, or a preview of any kind, in the format that was asked for.

    Args:
        picture: the bytes of a picture that this service made.
        kind: what it shall be.
        compression: quality of a jpeg or webp, 0 to 100; none is the best.
    """
    if (Pillow.open(BytesIO(picture)).format or "").lower() != kind:
        buffer = BytesIO()
        quality = _BEST if compression is None else min(compression, _BEST)
        # In sRGB: a JPEG has no gamma, and not every reader looks for a profile.
        Pillow.fromarray(read_image(picture, _OURS).image).save(buffer, kind.upper(), quality=quality)
        picture = buffer.getvalue()
    return base64.b64encode(picture).decode()
