"""Pictures as base64, in and out."""

from __future__ import annotations

import base64
import string

from service.core.errors import InvalidImage
from service.images.decode import FORMATS, UploadLimits, read_image, read_mask
from service.images.encode import encode_mask

_PIECE_CHARS = 1 << 20
"""A multiple of four, as many as stand for three bytes."""


def picture_in(text: str, name: str) -> bytes:
    """The bytes of a picture that was sent as base64, bare or as a ``data:`` address.

    Raises:
        InvalidImage: if it is neither. Addresses of the web are not fetched.
    """
    content = text.partition(",")[2] if text.startswith("data:") else text
    if any(space in content for space in string.whitespace):
        content = "".join(content.split())
    try:
        if "=" in content[:-2]:
            raise ValueError("text goes on after its end")
        # Piece by piece: others get no turn while one is decoded.
        pieces = range(0, len(content), _PIECE_CHARS)
        return b"".join(base64.b64decode(content[at : at + _PIECE_CHARS], validate=True) for at in pieces)
    except ValueError as error:
        raise InvalidImage(f"{name} is no base64", code="not_an_image", allowed=FORMATS) from error


def inverted(mask: bytes, limits: UploadLimits) -> bytes:
    """The mask that is white where this one is black.

    Raises:
        InvalidImage, TooLarge: if it is no picture that we take.
    """
    size_hw = read_image(mask, limits).image.shape[:2]
    return encode_mask(1 - read_mask(mask, limits, size_hw))


def picture_out(png: bytes) -> str:
    """Bare base64."""
    return base64.b64encode(png).decode()
