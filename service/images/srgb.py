"""Conversion of any PNG, JPEG or WebP picture to 8-bit sRGB, and back to its own colours."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from detectors.detections import Image
from service.images.encode import Alpha

_log = logging.getLogger(__name__)

# A conversion copies a strip at a time and not the picture, which may take 64 MB.
_STRIP_PIXELS = 1 << 18
# Such exponents are as close to sRGB as a single one can be: converting would only add rounding errors.
_LIKE_SRGB = (0.4, 0.5)
_SANE = (0.2, 2.5)

Convert = Callable[[Pillow.Image], Pillow.Image]
"""Converts a picture, pixel by pixel."""


@dataclass(frozen=True, slots=True)
class Space:
    """The colour space of a file, if it is not sRGB.

    Attributes:
        to_srgb: converts to sRGB, without alpha.
        from_srgb: converts back; None if that is impossible for an RGB file.
    """

    to_srgb: Convert
    from_srgb: Convert | None


def space_of(picture: Pillow.Image, profile: bytes | None, gamma: float | None = None) -> Space | None:
    """Returns the colour space of a picture by its ICC profile or its exponent; None for sRGB.

    An unusable profile is ignored, as in browsers; so is an exponent out of range.
    """
    mode = _without_alpha(picture.crop((0, 0, 1, 1))).mode
    source = _source(profile)
    if source is not None:
        there = _transform(source, _srgb(), mode)
        back = _transform(_srgb(), source, "RGB") if mode == "RGB" and there is not None else None
        return None if there is None else Space(there, back)
    if gamma is None or not _SANE[0] <= gamma <= _SANE[1] or _LIKE_SRGB[0] <= gamma <= _LIKE_SRGB[1]:
        return None
    light = np.linspace(0.0, 1.0, 256) ** (1.0 / gamma)
    return Space(_by_table(_srgb_of(light)), _by_table(_light_of_srgb() ** gamma))


def to_srgb(picture: Pillow.Image, space: Space | None) -> tuple[Image, Alpha | None]:
    """Converts a picture to uint8 RGB (H, W, 3), with alpha (H, W) if it has transparency of any kind.

    16-bit grey is rounded to 8 bits; of 16-bit colours the decoder keeps the upper byte, which is at most one
    level less. Palettes are expanded, the colours are converted from their ``space``. CMYK without a profile
    is converted by the plain formula. Colours under full transparency are kept.
    """
    width, height = picture.size
    image = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if picture.has_transparency_data else None
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        if alpha is not None:
            alpha[top : top + rows] = _alpha_of(strip)
        colours = _without_alpha(strip)
        if space is not None:
            colours = space.to_srgb(colours)
        image[top : top + rows] = np.asarray(colours.convert("RGB"))
    return image, alpha


def _is_16_bit(picture: Pillow.Image) -> bool:
    return picture.mode.startswith("I")


def _alpha_of(picture: Pillow.Image) -> Alpha:
    if _is_16_bit(picture):
        clear = picture.info["transparency"]
        return np.where(np.asarray(picture) == clear, np.uint8(0), np.uint8(255))
    return np.asarray(picture.convert("RGBA").getchannel("A"))


def _without_alpha(picture: Pillow.Image) -> Pillow.Image:
    """Converts to L, RGB or CMYK, the modes that a colour profile can describe."""
    if _is_16_bit(picture):
        # 65535 / 257 = 255: exact at both ends, unlike dropping the low byte.
        values = np.asarray(picture).astype(np.uint32)
        return Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.mode in {"1", "L", "LA"}:
        return picture.convert("L")
    return picture if picture.mode in {"RGB", "CMYK"} else picture.convert("RGBA").convert("RGB")


def _source(profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    """Returns the profile, if it can be read and is not sRGB."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        is_srgb = "srgb" in ImageCms.getProfileDescription(source).lower()
    except Exception as error:  # noqa: BLE001 - foreign bytes; browsers show the picture without its profile
        _log.info("ignored a colour profile that cannot be read: %s", error)
        return None
    return None if is_srgb else source  # converting would only add rounding errors


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _transform(
    source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> Convert | None:
    """Returns a conversion from this mode to RGB; None if the profiles cannot do that."""
    try:
        transform = ImageCms.buildTransform(
            source,
            target,
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception as error:  # noqa: BLE001 - likewise
        _log.info("ignored a colour profile that cannot be used: %s", error)
        return None
    return partial(_transformed, transform)


def _transformed(transform: ImageCms.ImageCmsTransform, picture: Pillow.Image) -> Pillow.Image:
    return ImageCms.applyTransform(picture, transform) or picture


def _by_table(values: NDArray[np.float64]) -> Convert:
    """Returns a conversion by 256 values in [0, 1], the same for each colour."""
    table = np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(int).tolist()
    return lambda picture: picture.convert("RGB").point(table * 3)


def _srgb_of(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def _light_of_srgb() -> NDArray[np.float64]:
    values = np.linspace(0.0, 1.0, 256)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
