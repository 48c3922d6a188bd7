"""The chunks of a PNG file, read and written without decoding a pixel."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD_BYTES = 8
_CRC_BYTES = 4
_MAX_CHUNKS = 65_536


class BrokenPng(ValueError):
    """The bytes are not a complete PNG file."""


class Chunk(NamedTuple):
    """One chunk: its four letters and its content."""

    kind: bytes
    data: bytes

    @property
    def is_critical(self) -> bool:
        """True if a reader that does not know the chunk must not show the picture."""
        return not self.kind[0] & 0x20


def read_chunks(png: bytes, max_chunks: int) -> list[Chunk]:
    """Returns the chunks up to ``IEND``; it and all later bytes are left out.

    Raises:
        BrokenPng: truncated, over ``max_chunks``, or a critical chunk with a wrong checksum; other chunks
            with a wrong checksum are left out.
    """
    if not png.startswith(SIGNATURE):
        raise BrokenPng("no PNG signature")
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    for _ in range(max_chunks + 1):  # IEND counts, too
        if at + _HEAD_BYTES > len(png):
            raise BrokenPng("no IEND chunk")
        length, kind = struct.unpack_from(">I4s", png, at)
        at += _HEAD_BYTES
        if at + length + _CRC_BYTES > len(png):
            raise BrokenPng("a chunk is cut short")
        chunk = Chunk(kind, png[at : at + length])
        at += length
        intact = zlib.crc32(chunk.data, zlib.crc32(kind)) == int.from_bytes(png[at : at + _CRC_BYTES])
        if chunk.is_critical and not intact:
            raise BrokenPng("a chunk does not match its checksum")
        at += _CRC_BYTES
        if kind == b"IEND":
            return chunks
        if intact:
            chunks.append(chunk)
    raise BrokenPng(f"more than {max_chunks} chunks")


def write_chunks(chunks: Iterable[Chunk]) -> bytes:
    """Returns a PNG file of these chunks and ``IEND``, each with its checksum."""
    parts = [SIGNATURE]
    for kind, data in (*chunks, Chunk(b"IEND", b"")):
        crc = zlib.crc32(data, zlib.crc32(kind))
        parts += [struct.pack(">I4s", len(data), kind), data, struct.pack(">I", crc)]
    return b"".join(parts)


def with_chunks(png: bytes, more: Sequence[Chunk]) -> bytes:
    """Returns the PNG file with more chunks after its header; unchanged if there are none.

    Raises:
        BrokenPng: ``png`` is not a PNG file.
    """
    if not more:
        return png
    header, *others = read_chunks(png, _MAX_CHUNKS)
    return write_chunks((header, *more, *others))
