"""The report inside a PNG file: an ``iTXt`` chunk called ``anatomend`` that any image tool shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.images.png_chunks import BrokenPng, Chunk, read_chunks, write_chunks

_KIND = b"iTXt"
# Keyword, not compressed (two bytes), no language, no translated keyword.
_HEAD = b"anatomend\0\0\0\0\0"
_MAX_CHUNKS = 65_536
_MAX_REPORT_BYTES = 1_000_000


def with_report(png: bytes, report: Mapping[str, Any]) -> bytes:
    """Returns the PNG with this report in it, replacing an earlier one.

    Equal reports give equal bytes. For the same bytes at each request the report must hold no times, ids or
    addresses.

    Args:
        png: a complete PNG file.
        report: JSON values; no NaN.

    Raises:
        BrokenPng: ``png`` is not a PNG file.
        ValueError: the report holds a number that JSON cannot express.
    """
    # ASCII: a prompt may hold half of a surrogate pair, which UTF-8 cannot encode.
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    header, *others = (chunk for chunk in read_chunks(png, _MAX_CHUNKS) if not _is_report(chunk))
    return write_chunks((header, Chunk(_KIND, _HEAD + text), *others))


def read_report(png: bytes) -> dict[str, Any] | None:
    """Returns the report in a PNG file, from any writer; None if there is no readable one."""
    try:
        text = next(chunk.data[len(_HEAD) :] for chunk in read_chunks(png, _MAX_CHUNKS) if _is_report(chunk))
        report = json.loads(text) if len(text) <= _MAX_REPORT_BYTES else None
    except (BrokenPng, StopIteration, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _is_report(chunk: Chunk) -> bool:
    return chunk.kind == _KIND and chunk.data.startswith(_HEAD)
