"""WebP files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from service.images.container import MAX_PARTS, MAX_PROFILE_BYTES, Damaged, Parts
from service.images.exif import orientation_of

_PICTURE = (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
_ANIMATION_AND_ALPHA = 0x02 | 0x10


def read_webp(content: bytes) -> Parts:
    """Returns the parts of a WebP file; of an animated one, the first frame.

    Raises:
        Damaged: it is truncated, or holds no picture.
    """
    chunks = _first_chunks(content)
    profile = chunks.get(b"ICCP", b"")
    width, height = _size_of(chunks)
    return Parts(
        kind="WEBP",
        width=width,
        height=height,
        picture=_picture(chunks),
        profile=profile if 0 < len(profile) <= MAX_PROFILE_BYTES else None,
        orientation=orientation_of(chunks.get(b"EXIF", b"")),
    )


def _first_chunks(content: bytes) -> dict[bytes, bytes]:
    """Returns the first chunk of every kind. The file ends at the size in its header."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        raise Damaged("the file is cut short")
    chunks: dict[bytes, bytes] = {}
    at = 12
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return chunks
        kind, length = struct.unpack_from("<4sI", content, at)
        at += 8
        if at + length > end:
            raise Damaged("a chunk is cut short")
        chunks.setdefault(kind, content[at : at + length])
        at += length + length % 2
    raise Damaged(f"more than {MAX_PARTS} chunks")


def _size_of(chunks: Mapping[bytes, bytes]) -> tuple[int, int]:
    """Returns width and height: of the canvas if the file has one, else of the bitstream."""
    if len(canvas := chunks.get(b"VP8X", b"")) >= 10:
        return int.from_bytes(canvas[4:7], "little") + 1, int.from_bytes(canvas[7:10], "little") + 1
    if len(lossy := chunks.get(b"VP8 ", b"")) >= 10 and lossy[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", lossy, 6)
        return width & 0x3FFF, height & 0x3FFF
    if len(lossless := chunks.get(b"VP8L", b"")) >= 5 and lossless[0] == 0x2F:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise Damaged("no picture")


def _picture(chunks: Mapping[bytes, bytes]) -> bytes:
    """Returns a file of the picture alone, in the order that the format requires."""
    kept = {kind: chunks[kind] for kind in _PICTURE if kind in chunks}
    if canvas := kept.get(b"VP8X"):
        kept[b"VP8X"] = bytes((canvas[0] & _ANIMATION_AND_ALPHA,)) + canvas[1:]
    body = b"".join(
        struct.pack("<4sI", kind, len(data)) + data + b"\0" * (len(data) % 2) for kind, data in kept.items()
    )
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WEBP") + body
