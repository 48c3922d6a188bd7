"""Any picture that a PNG, JPEG or WebP file can hold, as 8-bit sRGB."""

from __future__ import annotations

import logging
from io import BytesIO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from detectors.detections import Image
from service.store.png import Alpha

_log = logging.getLogger(__name__)

# The copies that a conversion makes are of a strip and not of the picture, which may take 64 MB.
_STRIP_PIXELS = 1 << 18


def to_srgb(picture: Pillow.Image, profile: bytes | None) -> tuple[Image, Alpha | None]:
    """The same picture as uint8 RGB (H, W, 3), with alpha (H, W) if it has transparency of any kind.

    16-bit grey is brought to 8 bits by rounding; of 16-bit colours the decoder keeps the upper byte, which is
    at most one level less. A palette is looked up, the ICC profile is applied where it fits. CMYK without a
    profile is converted by the plain formula. Colours under full transparency are kept.
    """
    width, height = picture.size
    image = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if picture.has_transparency_data else None
    transform = _transform(profile, _without_alpha(picture.crop((0, 0, 1, 1))).mode)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        if alpha is not None:
            alpha[top : top + rows] = _alpha_of(strip)
        colours = _without_alpha(strip)
        if transform is not None:
            colours = ImageCms.applyTransform(colours, transform) or colours
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
    """Modes L, RGB or CMYK: those that a colour profile can speak of."""
    if _is_16_bit(picture):
        # 65535 / 257 = 255: exact at both ends, unlike dropping the low byte.
        values = np.asarray(picture).astype(np.uint32)
        return Pillow.fromarray(((values + 128) // 257).astype(np.uint8))
    if picture.mode in {"1", "L", "LA"}:
        return picture.convert("L")
    return picture if picture.mode in {"RGB", "CMYK"} else picture.convert("RGBA").convert("RGB")


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours, in pixels of this mode, to sRGB; None if they are that or it is unfit."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None  # converting would only round
        return ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception as error:  # noqa: BLE001 - foreign bytes; browsers show the picture without its profile
        _log.info("ignored a colour profile that cannot be used: %s", error)
        return None
