"""PNG files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from service.images.container import MAX_PARTS, MAX_PROFILE_BYTES, Damaged, Parts
from service.images.exif import UPRIGHT, orientation_of
from service.images.png_chunks import BrokenPng, Chunk, read_chunks, write_chunks

_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
# These change the pixels' colours or their display; none of them can hold text but the profile.
_LOOKS = frozenset(
    {b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"hIST", b"pHYs"}
)
# Those of them that mean the same in a file of 8-bit colours, with their length; the profile has any.
_LENGTHS = {
    b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"iCCP": None, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9
}  # fmt: skip
_GREY, _RGB, _PALETTE, _GREY_ALPHA = 0, 2, 3, 4
_LYING = 5


def read_png(content: bytes) -> Parts:
    """Returns the parts of a PNG file; of an animated one, its still picture.

    Raises:
        Damaged: it is truncated, violates the order of chunks, or holds unknown critical chunks.
    """
    try:
        chunks = read_chunks(content, MAX_PARTS)
    except BrokenPng as error:
        raise Damaged(str(error)) from error
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].data) != 13:
        raise Damaged("no header")
    if any(chunk.is_critical and chunk.kind not in _PICTURE for chunk in chunks):
        raise Damaged("an unknown critical chunk")
    width, height, colour = struct.unpack_from(">IIxB", chunks[0].data)
    if colour == _PALETTE and _first(chunks, b"PLTE") is None:
        raise Damaged("no palette")
    orientation = orientation_of(_first(chunks, b"eXIf") or b"")
    profile = _profile(_first(chunks, b"iCCP"))
    looks = _looks(chunks, orientation, has_profile=profile is not None)
    # Newer than a profile and of higher priority: PQ and HLG are defined by cICP alone.
    has_code_points = any(chunk.kind == b"cICP" for chunk in looks)
    return Parts(
        kind="PNG",
        width=width,
        height=height,
        picture=_picture(chunks),
        profile=None if has_code_points else profile,
        orientation=orientation,
        verbatim=_without_metadata(content, chunks) if orientation == UPRIGHT else None,
        looks=looks,
        gamma=_gamma(looks),
        reduced=_reduced(depth=chunks[0].data[8], colour=colour),
    )


def _first(chunks: Sequence[Chunk], kind: bytes) -> bytes | None:
    return next((chunk.data for chunk in chunks if chunk.kind == kind), None)


def _looks(chunks: Sequence[Chunk], orientation: int, *, has_profile: bool) -> tuple[Chunk, ...]:
    """Returns the chunks for a file of 8-bit colours: the first of each kind, if it is complete."""
    kept: dict[bytes, Chunk] = {}
    for chunk in chunks:
        length = _LENGTHS.get(chunk.kind, -1)
        is_whole = has_profile if length is None else length == len(chunk.data)
        if is_whole:
            kept.setdefault(chunk.kind, chunk)
    if orientation >= _LYING and b"pHYs" in kept:
        data = kept[b"pHYs"].data
        kept[b"pHYs"] = Chunk(b"pHYs", data[4:8] + data[:4] + data[8:])
    return tuple(kept.values())


def _gamma(looks: Sequence[Chunk]) -> float | None:
    """Returns the exponent of a gAMA chunk, if no chunk of higher priority defines the colours."""
    if any(chunk.kind in {b"cICP", b"iCCP", b"sRGB"} for chunk in looks):
        return None
    data = _first(looks, b"gAMA")
    return None if data is None else int.from_bytes(data) / 100_000


def _reduced(depth: int, colour: int) -> tuple[str, ...]:
    told = ["16 bits a sample became 8"] if depth == 16 else []
    told += ["grey became colours"] if colour in {_GREY, _GREY_ALPHA} else []
    told += ["a palette became colours"] if colour == _PALETTE else []
    return tuple(told)


def _without_metadata(content: bytes, chunks: Sequence[Chunk]) -> bytes:
    """Returns the chunks as sent, without metadata and without the bytes after the end."""
    kept = write_chunks(chunk for chunk in chunks if chunk.kind in _PICTURE | _LOOKS)
    return content if kept == content else kept


def _picture(chunks: Sequence[Chunk]) -> bytes:
    """Returns the decoder's input: the pixel data in one piece, however finely it was split."""
    parts = [chunks[0]]
    palette, clear = _first(chunks, b"PLTE"), _first(chunks, b"tRNS")
    if palette is not None:
        parts.append(Chunk(b"PLTE", palette))
    if clear is not None:
        parts.append(Chunk(b"tRNS", _in_8_bits(clear, depth=chunks[0].data[8], colour=chunks[0].data[9])))
    parts.append(Chunk(b"IDAT", b"".join(chunk.data for chunk in chunks if chunk.kind == b"IDAT")))
    return write_chunks(parts)


def _in_8_bits(clear: bytes, depth: int, colour: int) -> bytes:
    """Converts the transparent colour to 8 bits: the decoder scales the pixels, but not that colour.

    16-bit grey is left unchanged.
    """
    if colour == _GREY and depth in {2, 4} and len(clear) >= 2:
        return struct.pack(">H", clear[1] % 2**depth * 255 // (2**depth - 1))
    if colour == _RGB and depth == 16 and len(clear) >= 6:
        return bytes((0, clear[0], 0, clear[2], 0, clear[4]))
    return clear


def _profile(data: bytes | None) -> bytes | None:
    """Returns the profile of an iCCP chunk: a name, 0, the method 0, and zlib's bytes."""
    _, _, compressed = (data or b"").partition(b"\0")
    if compressed[:1] != b"\0":
        return None
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(compressed[1:], MAX_PROFILE_BYTES)
    except zlib.error:  # the picture is shown without it, as browsers do
        return None
    return profile if inflate.eof else None
