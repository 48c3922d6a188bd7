"""JPEG files."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from service.images.container import MAX_PARTS, MAX_PROFILE_BYTES, Damaged, Parts
from service.images.exif import UPRIGHT, orientation_of

MAX_SCANS = 32
"""The maximum number of scans. Progressive files have about ten; each costs a pass over the whole picture."""

# Of several fill bytes before a marker, the last one is the marker's own: the search never backtracks.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ALONE = frozenset({0x01, _START, *range(0xD0, 0xD8)})  # markers without content
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"


class _Segment(NamedTuple):
    marker: int
    data: bytes
    end: int  # the start of the next segment

    @property
    def makes_the_picture(self) -> bool:
        # JFIF and Adobe segments define the colours of the components.
        return (
            self.marker in _TABLES | _FRAMES | {_SCAN}
            or (self.marker == _APP0 and self.data.startswith(b"JFIF\0"))
            or (self.marker == _APP14 and self.data.startswith(b"Adobe"))
        )

    @property
    def whole(self) -> bytes:
        return struct.pack(">BBH", 0xFF, self.marker, len(self.data) + 2) + self.data


def read_jpeg(content: bytes) -> Parts:
    """Returns the parts of a JPEG file; of several pictures in one file, the first.

    Raises:
        Damaged: it is truncated before its pixels, has not exactly one frame header, or too many scans or
        segments.
    """
    frames: list[bytes] = []
    picture = [b"\xff\xd8"]
    profile: dict[int, bytes] = {}
    orientation: int | None = None
    end = 0
    for segment in _segments(content):
        marker, data, end = segment
        if marker in _FRAMES:
            frames.append(data)
        if segment.makes_the_picture:
            picture.append(segment.whole)
        elif marker == _APP1 and data.startswith(_EXIF) and orientation is None:
            orientation = orientation_of(data)
        elif marker == _APP2 and data.startswith(_ICC) and len(data) > len(_ICC) + 1:
            profile[data[len(_ICC)]] = data[len(_ICC) + 2 :]
    if len(frames) != 1 or len(frames[0]) < 6:
        raise Damaged("not one frame header")
    if content.count(b"\xff\xda", end) >= MAX_SCANS:
        raise Damaged(f"more than {MAX_SCANS} scans")
    height, width = struct.unpack_from(">HH", frames[0], 1)
    picture.append(content[end:])
    return Parts("JPEG", width, height, b"".join(picture), _joined(profile), orientation or UPRIGHT)


def _segments(content: bytes) -> Iterator[_Segment]:
    """Yields the segments before the pixels, up to the head of the first scan; skips bytes between them."""
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(content, at)
        if found is None or found[1][0] == _END:
            raise Damaged("no pixels")
        marker, at = found[1][0], found.end()
        if marker in _ALONE:
            continue
        length = int.from_bytes(content[at : at + 2])
        if length < 2 or at + length > len(content):
            raise Damaged("a segment is cut short")
        yield _Segment(marker, content[at + 2 : at + length], at + length)
        if marker == _SCAN:
            return
        at += length
    raise Damaged(f"more than {MAX_PARTS} segments")


def _joined(profile: Mapping[int, bytes]) -> bytes | None:
    """Joins a profile from its numbered pieces, since a segment holds 64 KiB at most."""
    whole = b"".join(profile[number] for number in sorted(profile))
    return whole if 0 < len(whole) <= MAX_PROFILE_BYTES else None
