"""Pictures as OpenAI's clients send and want them."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image as Pillow

from service.api.openai.shapes import Format, refused
from service.errors import InvalidImage
from service.store.png import encode_mask
from service.wire.uploads import Limits, read_image

_BEST = 95
"""Pillow's own advice for JPEG: above that, files grow and pictures do not get better."""


def our_mask(content: bytes, limits: Limits) -> bytes:
    """Their mask as ours: what is fully transparent there is white here, and repainted.

    Raises:
        Refused: if it is no picture, or has no transparency.
        TooLarge: if it is too large.
    """
    try:
        alpha = read_image(content, limits).alpha
    except InvalidImage as error:
        raise refused("mask", error.detail, error.allowed) from error
    if alpha is None:
        raise refused("mask", "nothing in it is transparent", "a PNG with alpha; 0 = redraw")
    return encode_mask((alpha == 0).astype(np.float32))


def as_base64(picture: bytes, kind: Format, compression: int | None) -> str:
    """A stored PNG, or a preview of any kind, in the format that was asked for.

    Args:
        picture: the bytes of a picture that this service made.
        kind: what it shall be.
        compression: quality of a jpeg or webp, 0 to 100; none is the best.
    """
    opened = Pillow.open(BytesIO(picture))
    if (opened.format or "").lower() != kind:
        buffer = BytesIO()
        quality = _BEST if compression is None else min(compression, _BEST)
        (opened if kind == "png" else opened.convert("RGB")).save(buffer, kind.upper(), quality=quality)
        picture = buffer.getvalue()
    return base64.b64encode(picture).decode()
