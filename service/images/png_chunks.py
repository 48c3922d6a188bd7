"""A PNG file as its chunks, read and written without decoding a pixel."""

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
    """These bytes are no whole PNG file."""


class Chunk(NamedTuple):
    """One chunk: its four letters and its content."""

    kind: bytes
    data: bytes

    @property
    def is_critical(self) -> bool:
        """Whether a reader that does not know it must not show the picture."""
        return not self.kind[0] & 0x20


def read_chunks(png: bytes, max_chunks: int) -> list[Chunk]:
    """The chunks up to ``IEND``, which is left out as is whatever follows it.

    Raises:
        BrokenPng: cut short, over ``max_chunks``, or a critical chunk does not match its checksum; the
            others are left out if they do not.
    """
    if not png.startswith(SIGNATURE):
        raise BrokenPng("no PNG signature")
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    for _ in range(max_chunks + 1):  # IEND is one, too
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
    """A PNG file of these chunks and ``IEND``, each with its checksum."""
    parts = [SIGNATURE]
    for kind, data in (*chunks, Chunk(b"IEND", b"")):
        crc = zlib.crc32(data, zlib.crc32(kind))
        parts += [struct.pack(">I4s", len(data), kind), data, struct.pack(">I", crc)]
    return b"".join(parts)


def with_chunks(png: bytes, more: Sequence[Chunk]) -> bytes:
    """The same PNG file with more chunks after its header; the very bytes if there are none.

    Raises:
        BrokenPng: ``png`` is none.
    """
    if not more:
        return png
    header, *others = read_chunks(png, _MAX_CHUNKS)
    return write_chunks((header, *more, *others))
