"""Decoding of uploads: the format is read from the content, and checked before the pixels are decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from detectors.detections import Image, Mask
from service.core.errors import InvalidImage, InvalidRequest, TooLarge
from service.images.container import Damaged, Parts
from service.images.encode import Alpha
from service.images.jpeg import read_jpeg
from service.images.png import read_png
from service.images.png_chunks import SIGNATURE as PNG_SIGNATURE
from service.images.png_chunks import Chunk
from service.images.srgb import Space, space_of, to_srgb
from service.images.webp import read_webp
from service.runtime.settings import Settings

MAX_SIDE_PX = 65_535
"""JPEG's maximum. PNG allows more, but a picture with one pixel per row costs a call for each row."""

FORMATS = ("PNG", "JPEG", "WebP")
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


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The size limits of an upload."""

    max_bytes: int
    max_pixels: int

    @classmethod
    def of(cls, settings: Settings) -> UploadLimits:
        """Returns the limits of the settings; a megabyte is a million bytes, a megapixel a million pixels."""
        return cls(settings.max_upload_mb * 1_000_000, settings.max_upload_megapixels * 1_000_000)


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """One uploaded picture, upright.

    Attributes:
        image: uint8 RGB (H, W, 3), sRGB. Where alpha = 0 it holds the file's hidden colours.
        alpha: uint8 (H, W), or None for a picture without transparency.
        png: for an upright PNG, the uploaded file without its metadata (byte for byte if it has none), which
            is returned if nothing changes.
        own: converts redrawn pixels back to the colours of a PNG, where those are not sRGB.
        looks: chunks that a PNG of this picture needs for the same display as the upload.
        reduced: the properties of the uploaded PNG that a new one cannot hold, as text.
    """

    image: Image
    alpha: Alpha | None
    png: bytes | None
    own: OwnColours | None = None
    looks: tuple[Chunk, ...] = ()
    reduced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class OwnColours:
    """A PNG whose colours are not sRGB, to be decoded again when a redrawn picture is written."""

    parts: Parts
    from_srgb: Callable[[Pillow.Image], Pillow.Image]

    def restored(self, image: Image, before: Image) -> Image:
        """Returns the file's own samples; where ``image`` differs from ``before``, the converted pixels.

        Args:
            image: uint8 sRGB (H, W, 3).
            before: the upload's picture, in the same format.
        """
        samples = _turned(to_srgb(_decoded(self.parts), None)[0], self.parts.orientation)
        changed = (image != before).any(axis=2)
        if changed.any():
            samples[changed] = np.asarray(self.from_srgb(Pillow.fromarray(image[changed][None])))[0]
        return samples


MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp")


def media_type_of(content: bytes) -> str:
    """Returns the media type of an accepted upload."""
    png, jpeg, webp = MEDIA_TYPES
    return png if content.startswith(b"\x89PNG") else jpeg if content.startswith(b"\xff\xd8") else webp


def read_image(content: bytes, limits: UploadLimits) -> Upload:
    """Decodes an uploaded picture; of an animated one, its first frame.

    Raises:
        InvalidImage: ``empty_image``, ``not_an_image``, ``unsupported_type`` or ``damaged_image``.
        TooLarge: ``too_many_bytes`` or ``too_many_pixels``.
    """
    parts = _parts(content, limits)
    picture = _decoded(parts)
    space = _space_of(picture, parts, parts.gamma)
    image, alpha = _upright(parts, picture, space)
    if space is None:
        return Upload(image, alpha, parts.verbatim, None, parts.looks, parts.reduced)
    if parts.kind == "PNG" and space.from_srgb is not None:
        own = OwnColours(parts, space.from_srgb)
        return Upload(image, alpha, parts.verbatim, own, parts.looks, parts.reduced)
    size = tuple(chunk for chunk in parts.looks if chunk.kind == b"pHYs")
    return Upload(image, alpha, parts.verbatim, None, size, parts.reduced)


def read_mask(content: bytes, limits: UploadLimits, size_hw: tuple[int, int]) -> Mask:
    """Decodes an uploaded mask: its grey value, white = repaint, float32 (H, W) in [0, 1].

    Raises:
        InvalidImage, TooLarge: as for a picture.
        InvalidRequest: ``mask_size_mismatch`` if its size is not the picture's.
    """
    parts = _parts(content, limits)
    picture = _decoded(parts)
    image, alpha = _upright(parts, picture, _space_of(picture, parts))
    height, width = image.shape[:2]
    if (height, width) != size_hw:
        raise InvalidRequest(
            f"the mask is {width}×{height}, the picture {size_hw[1]}×{size_hw[0]}",
            code="mask_size_mismatch",
            allowed={"width": size_hw[1], "height": size_hw[0]},
        )
    mask = np.asarray(Pillow.fromarray(image).convert("L")).astype(np.float32)
    mask /= np.float32(255.0)
    if alpha is not None:  # transparent pixels are not painted, whatever their hidden colour
        mask *= alpha / np.float32(255.0)
    return mask


def _parts(content: bytes, limits: UploadLimits) -> Parts:
    """Splits the file into its parts; nothing is decoded yet."""
    if len(content) > limits.max_bytes:
        raise too_many_bytes(limits.max_bytes)
    try:
        if content.startswith(PNG_SIGNATURE):
            parts = read_png(content)
        elif content.startswith(b"\xff\xd8\xff"):
            parts = read_jpeg(content)
        elif (content[:4], content[8:12]) == (b"RIFF", b"WEBP"):
            parts = read_webp(content)
        else:
            raise _unidentified(content)
    except Damaged as error:
        raise _damaged(error) from error
    if parts.width * parts.height > limits.max_pixels:
        raise _too_many_pixels(limits)
    if max(parts.width, parts.height) > MAX_SIDE_PX:
        raise TooLarge(
            f"a side of the picture is longer than {MAX_SIDE_PX} pixels",
            code="too_many_pixels",
            allowed={"max_side_px": MAX_SIDE_PX},
        )
    return parts


def _space_of(picture: Pillow.Image, parts: Parts, gamma: float | None = None) -> Space | None:
    try:
        return space_of(picture, parts.profile, gamma)
    except Exception as error:  # see ``_upright``
        raise _damaged(error) from error


def _upright(parts: Parts, picture: Pillow.Image, space: Space | None) -> tuple[Image, Alpha | None]:
    """Returns the pixels in sRGB, turned upright, with the alpha plane if there is one."""
    try:
        image, alpha = to_srgb(picture, space)
    except Exception as error:  # the decoder leaves some contradictions of a file to the conversion
        raise _damaged(error) from error
    return _turned(image, parts.orientation), None if alpha is None else _turned(alpha, parts.orientation)


def _decoded(parts: Parts) -> Pillow.Image:
    try:
        picture = Pillow.open(BytesIO(parts.picture), formats=[parts.kind])
        picture.load()
    except Exception as error:  # Pillow's decoders raise many kinds on hostile bytes
        raise _damaged(error) from error
    if picture.size != (parts.width, parts.height):
        raise _damaged("it is of another size than its head says")
    return picture


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turns rows upright: from 5 on they lie on their side, and of each pair one is mirrored."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _unidentified(content: bytes) -> InvalidImage:
    if not content:
        return InvalidImage("the file is empty", code="empty_image", allowed=FORMATS)
    if content[4:8] == b"ftyp":
        kind: str | None = "AVIF, HEIC or a video"
    else:
        kind = next((name for mark, name in _OTHER_SIGNATURES.items() if content.startswith(mark)), None)
    if kind is not None:
        return InvalidImage(f"the file is {kind}", code="unsupported_type", allowed=FORMATS)
    return InvalidImage("the file is not a picture", code="not_an_image", allowed=FORMATS)


def _damaged(why: object) -> InvalidImage:
    return InvalidImage(
        f"the picture is truncated or damaged: {why}",
        code="damaged_image",
        allowed="a whole PNG, JPEG or WebP file",
    )


def _too_many_pixels(limits: UploadLimits) -> TooLarge:
    return TooLarge(
        f"the picture has more than {limits.max_pixels} pixels",
        code="too_many_pixels",
        allowed={"max_pixels": limits.max_pixels},
    )


def too_many_bytes(max_bytes: int) -> TooLarge:
    """Returns the refusal of a body or file of more than ``max_bytes``."""
    return TooLarge(
        f"more than {max_bytes} bytes were sent", code="too_many_bytes", allowed={"max_bytes": max_bytes}
    )
