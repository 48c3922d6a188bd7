"""The parts that every image file is reduced to, and the limits on them."""

from __future__ import annotations

from dataclasses import dataclass

from service.images.png_chunks import Chunk

MAX_PARTS = 65_536
"""The maximum number of PNG chunks, JPEG segments or WebP chunks in one file. 20 MB in chunks of 1 KiB,
smaller than any program writes them, are 20,000."""

MAX_PROFILE_BYTES = 1_000_000
"""The limit of a decompressed colour profile. Displays' take kilobytes, presses' half a megabyte."""


class Damaged(ValueError):
    """The file violates its own format."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The relevant parts of a file.

    Attributes:
        kind: the decoder's name of the format: PNG, JPEG or WEBP.
        width: the stored width, in pixels; at least 1.
        height: the stored height, in pixels; at least 1.
        picture: a file of the same format with nothing in it but the picture.
        profile: the ICC profile, at most ``MAX_PROFILE_BYTES``; None if there is none of that size.
        orientation: the rotation to turn the picture upright, 1 to 8 as in EXIF; 1 for none.
        verbatim: for an upright PNG, the file without its metadata (byte for byte if it has none); else None.
        looks: the chunks of a PNG that control its display and that fit a file of 8-bit colours, too.
        gamma: the exponent of a PNG's samples, if it is all that the file states about its colours.
        reduced: the properties of a PNG that a file of 8-bit colours cannot hold, as text.
    """

    kind: str
    width: int
    height: int
    picture: bytes
    profile: bytes | None
    orientation: int
    verbatim: bytes | None = None
    looks: tuple[Chunk, ...] = ()
    gamma: float | None = None
    reduced: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise Damaged("a side of the picture is 0")
