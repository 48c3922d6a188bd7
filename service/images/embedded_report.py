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
    """The same picture with this report in it, in place of one that it has.

    Equal reports give equal bytes. That a request gives the same bytes each time is up to the report, which
    must hold no times, ids or addresses.

    Args:
        png: a whole PNG file.
        report: what JSON can hold; no NaN.

    Raises:
        BrokenPng: ``png`` is none.
        ValueError: the report holds a number that JSON has no word for.
    """
    # ASCII: a prompt may hold half a surrogate pair, which UTF-8 has no bytes for.
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    header, *others = (chunk for chunk in read_chunks(png, _MAX_CHUNKS) if not _is_report(chunk))
    return write_chunks((header, Chunk(_KIND, _HEAD + text), *others))


def read_report(png: bytes) -> dict[str, Any] | None:
    """The report in a PNG file; None if there is none that can be read. Anybody may have written it."""
    try:
        text = next(chunk.data[len(_HEAD) :] for chunk in read_chunks(png, _MAX_CHUNKS) if _is_report(chunk))
        report = json.loads(text) if len(text) <= _MAX_REPORT_BYTES else None
    except (BrokenPng, StopIteration, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _is_report(chunk: Chunk) -> bool:
    return chunk.kind == _KIND and chunk.data.startswith(_HEAD)
