"""Conversion of pictures from and to base64."""

from __future__ import annotations

import base64
import string

from service.core.errors import InvalidImage
from service.images.decode import FORMATS, UploadLimits, read_image, read_mask
from service.images.encode import encode_mask

_PIECE_CHARS = 1 << 20
"""A multiple of four, as four characters encode three bytes."""


def picture_in(text: str, name: str) -> bytes:
    """Decodes a picture that was sent as base64, bare or as a ``data:`` URL.

    Raises:
        InvalidImage: if it is neither. Web URLs are not fetched.
    """
    content = text.partition(",")[2] if text.startswith("data:") else text
    if any(space in content for space in string.whitespace):
        content = "".join(content.split())
    try:
        if "=" in content[:-2]:
            raise ValueError("text goes on after its end")
        # Decoded in chunks: a long call would block the other threads.
        pieces = range(0, len(content), _PIECE_CHARS)
        return b"".join(base64.b64decode(content[at : at + _PIECE_CHARS], validate=True) for at in pieces)
    except ValueError as error:
        raise InvalidImage(f"{name} is no base64", code="not_an_image", allowed=FORMATS) from error


def inverted(mask: bytes, limits: UploadLimits) -> bytes:
    """Returns the inverted mask.

    Raises:
        InvalidImage, TooLarge: if it is not an accepted picture.
    """
    size_hw = read_image(mask, limits).image.shape[:2]
    return encode_mask(1 - read_mask(mask, limits, size_hw))


def picture_out(png: bytes) -> str:
    """Encodes a picture as bare base64."""
    return base64.b64encode(png).decode()
