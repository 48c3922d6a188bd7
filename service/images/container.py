"""What every container is reduced to, and the limits on it."""

from __future__ import annotations

from dataclasses import dataclass

from service.images.png_chunks import Chunk

MAX_PARTS = 65_536
"""PNG chunks, JPEG segments or WebP chunks in one file. 20 MB in chunks of 1 KiB, smaller than any program
writes them, are 20,000."""

MAX_PROFILE_BYTES = 1_000_000
"""Of a colour profile, decompressed. Those of displays take kilobytes, those of presses half a megabyte."""


class Damaged(ValueError):
    """The file breaks the rules of its own format."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a file matters.

    Attributes:
        kind: the decoder's name of the format: PNG, JPEG or WEBP.
        width: of the picture as stored, in pixels; at least 1.
        height: likewise.
        picture: a file of the same format with nothing in it but the picture.
        profile: the ICC profile, at most ``MAX_PROFILE_BYTES``; None if there is none of that size.
        orientation: how to turn the picture upright, 1 to 8 as in EXIF; 1 = as it is.
        verbatim: for a PNG the uploaded file without its metadata, the very bytes if it has none; else None.
        looks: the chunks of a PNG that say how to show it and that fit a file of 8-bit colours, too.
        gamma: the exponent that a PNG's samples were encoded with, where it says no more of its colours.
        reduced: what a file of 8-bit colours cannot hold of a PNG, in words.
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
