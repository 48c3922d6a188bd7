"""Uploaded bytes to pixels: what they are is read from the content, and checked before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from detectors.detections import Image, Mask
from service.errors import InvalidImage, InvalidRequest, TooLarge
from service.settings import Settings
from service.store.png import Alpha
from service.wire.colour import to_srgb

FORMATS = ("PNG", "JPEG", "WebP")
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_OTHER_SIGNATURES = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"8BPS": "PSD",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG",
}
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How large an upload may be."""

    max_bytes: int
    max_pixels: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that the operator has set; a megabyte is a million bytes, a megapixel a million pixels."""
        return cls(settings.max_upload_mb * 1_000_000, settings.max_upload_megapixels * 1_000_000)


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """One uploaded picture, upright.

    Attributes:
        image: uint8 RGB (H, W, 3), sRGB. Under alpha = 0 it holds what the file holds there.
        alpha: uint8 (H, W), or None for a picture without transparency.
        png: the uploaded bytes if they are a PNG of this very picture, to be given back if nothing changes.
    """

    image: Image
    alpha: Alpha | None
    png: bytes | None


def read_image(content: bytes, limits: Limits) -> Upload:
    """Decodes an uploaded picture; of an animated one, its first frame.

    Raises:
        InvalidImage: ``empty_image``, ``not_an_image``, ``unsupported_type`` or ``damaged_image``.
        TooLarge: ``too_many_bytes`` or ``too_many_pixels``.
    """
    picture, verbatim = _open_upright(content, limits)
    srgb = to_srgb(picture)
    pixels = np.asarray(srgb)
    alpha = np.ascontiguousarray(pixels[..., 3]) if srgb.mode == "RGBA" else None
    return Upload(np.ascontiguousarray(pixels[..., :3]), alpha, content if verbatim else None)


def read_mask(content: bytes, limits: Limits, size_hw: tuple[int, int]) -> Mask:
    """Decodes an uploaded mask: its grey value, white = repaint, float32 (H, W) in [0, 1].

    Raises:
        InvalidImage, TooLarge: as for a picture.
        InvalidRequest: ``mask_size_mismatch`` if it is not of the picture's size.
    """
    picture, _ = _open_upright(content, limits)
    if (picture.height, picture.width) != size_hw:
        raise InvalidRequest(
            f"the mask is {picture.width}×{picture.height}, the picture {size_hw[1]}×{size_hw[0]}",
            code="mask_size_mismatch",
            allowed={"width": size_hw[1], "height": size_hw[0]},
        )
    srgb = to_srgb(picture)
    if srgb.mode == "RGBA":  # what is transparent is not painted, whatever colour it has underneath
        srgb = Pillow.alpha_composite(Pillow.new("RGBA", srgb.size, (0, 0, 0, 255)), srgb)
    grey: NDArray[np.uint8] = np.asarray(srgb.convert("L"))
    return grey.astype(np.float32) / np.float32(255.0)


def _open_upright(content: bytes, limits: Limits) -> tuple[Pillow.Image, bool]:
    """The decoded picture, turned upright, and whether the bytes are a still PNG that needed no turn."""
    if len(content) > limits.max_bytes:
        raise too_many_bytes(limits.max_bytes)
    picture = _identify(content, limits)
    _check_pixels(picture.width * picture.height, limits)
    try:
        orientation = int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - foreign bytes; a broken note on how to hold a picture does not spoil it
        orientation = 1
    try:
        picture.load()
    except Exception as error:  # Pillow's decoders raise many kinds on hostile bytes
        raise _damaged() from error
    turn = _UPRIGHT.get(orientation)
    still_png = picture.format == "PNG" and not getattr(picture, "is_animated", False)
    return (picture if turn is None else picture.transpose(turn)), still_png and turn is None


def _identify(content: bytes, limits: Limits) -> Pillow.Image:
    if not content:
        raise InvalidImage("the file is empty", code="empty_image", allowed=FORMATS)
    try:
        return Pillow.open(BytesIO(content), formats=[name.upper() for name in FORMATS])
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _too_many_pixels(limits) from error
    except Exception as error:  # as above: anything may come out of foreign bytes
        raise _unidentified(content) from error


def _unidentified(content: bytes) -> InvalidImage:
    if content.startswith(_SIGNATURES) or (content[:4], content[8:12]) == (b"RIFF", b"WEBP"):
        return _damaged()
    if content[4:8] == b"ftyp":
        kind: str | None = "AVIF, HEIC or a video"
    else:
        kind = next((name for mark, name in _OTHER_SIGNATURES.items() if content.startswith(mark)), None)
    if kind is not None:
        return InvalidImage(f"the file is {kind}", code="unsupported_type", allowed=FORMATS)
    return InvalidImage("the file is not a picture", code="not_an_image", allowed=FORMATS)


def _damaged() -> InvalidImage:
    return InvalidImage(
        "the picture is truncated or damaged", code="damaged_image", allowed="a whole PNG, JPEG or WebP file"
    )


def _check_pixels(pixels: int, limits: Limits) -> None:
    if pixels > limits.max_pixels:
        raise _too_many_pixels(limits)


def _too_many_pixels(limits: Limits) -> TooLarge:
    return TooLarge(
        f"the picture has more than {limits.max_pixels} pixels",
        code="too_many_pixels",
        allowed={"max_pixels": limits.max_pixels},
    )


def too_many_bytes(max_bytes: int) -> TooLarge:
    """The refusal of a body or file of more than ``max_bytes``."""
    return TooLarge(
        f"more than {max_bytes} bytes were sent", code="too_many_bytes", allowed={"max_bytes": max_bytes}
    )
