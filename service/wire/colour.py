"""Any picture that a PNG, JPEG or WebP file can hold, as 8-bit sRGB."""

from __future__ import annotations

import logging
from io import BytesIO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

_log = logging.getLogger(__name__)


def to_srgb(picture: Pillow.Image) -> Pillow.Image:
    """The same picture in mode RGB, or RGBA if it has transparency of any kind.

    16-bit grey is brought to 8 bits by rounding, a palette is looked up, an embedded profile is applied.
    CMYK without a profile is converted by the plain formula. Colours under full transparency are kept.
    """
    picture = _to_8_bits(picture)
    profile = _profile_of(picture)
    alpha = _alpha_of(picture)
    colours = _without_alpha(picture)
    if profile is not None:
        colours = _apply(profile, colours)
    colours = colours.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def _to_8_bits(picture: Pillow.Image) -> Pillow.Image:
    if not picture.mode.startswith("I"):
        return picture
    # 65535 / 257 = 255: exact at both ends, unlike dropping the low byte.
    values = np.asarray(picture).astype(np.uint32)
    grey = Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
    if "icc_profile" in picture.info:
        grey.info["icc_profile"] = picture.info["icc_profile"]
    return grey


def _alpha_of(picture: Pillow.Image) -> Pillow.Image | None:
    if not picture.has_transparency_data:
        return None
    return picture.convert("RGBA").getchannel("A")


def _without_alpha(picture: Pillow.Image) -> Pillow.Image:
    """Modes L, RGB or CMYK: those that a colour profile can speak of."""
    if picture.mode in {"1", "L", "LA"}:
        return picture.convert("L")
    return picture if picture.mode in {"RGB", "CMYK"} else picture.convert("RGBA").convert("RGB")


def _profile_of(picture: Pillow.Image) -> ImageCms.ImageCmsProfile | None:
    data = picture.info.get("icc_profile")
    if not data:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        # Converting sRGB to sRGB would only round: those pixels are right as they are.
        return None if "srgb" in ImageCms.getProfileDescription(profile).lower() else profile
    except Exception as error:  # noqa: BLE001 - foreign bytes; browsers show the picture without its profile
        _log.info("ignored an unreadable colour profile: %s", error)
        return None


def _apply(profile: ImageCms.ImageCmsProfile, colours: Pillow.Image) -> Pillow.Image:
    try:
        converted = ImageCms.profileToProfile(
            colours,
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError as error:  # a profile of another colour space than the pixels
        _log.info("ignored a colour profile that does not fit its picture: %s", error)
        return colours
    return converted if converted is not None else colours
