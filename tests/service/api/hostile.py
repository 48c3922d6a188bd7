"""Files as an attacker, a broken camera or a bad network would send them, made byte by byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from PIL import Image as Pillow
from PIL import ImageCms

from service.images.png_chunks import Chunk, read_chunks, write_chunks
from tests.service.scripted import encoded, noise

PIXELS = noise((40, 48), 1)
PNG = encoded(PIXELS)
JPEG = encoded(PIXELS, "JPEG")
PROGRESSIVE = encoded(PIXELS, "JPEG", progressive=True)
WEBP = encoded(PIXELS, "WEBP")
LOSSLESS = encoded(PIXELS, "WEBP", lossless=True)
SECRET = b"where the photographer lives"
"""Put into metadata: it must never come out again."""

MIB = 1 << 20


def png_of(
    width: int, height: int, depth: int, colour: int, data: bytes | None = None, interlace: int = 0
) -> bytes:
    """A PNG file of any header; zeros that fill it, if no pixel data is given."""
    if data is None:
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        data = b"".join(
            bytes(((w * depth * channels + 7) // 8 + 1) * h) for w, h in _passes(width, height, interlace)
        )
        data = zlib.compress(data)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return write_chunks((Chunk(b"IHDR", header), Chunk(b"IDAT", data)))


def _passes(width: int, height: int, interlace: int) -> list[tuple[int, int]]:
    if not interlace:
        return [(width, height)]
    grid = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    sizes = [((width - x + dx - 1) // dx, (height - y + dy - 1) // dy) for x, y, dx, dy in grid]
    return [(w, h) for w, h in sizes if w > 0 and h > 0]


def png_with(*chunks: tuple[bytes, bytes], png: bytes = PNG) -> bytes:
    """A good PNG file with more chunks after its header."""
    header, *others = read_chunks(png, 1000)
    return write_chunks((header, *(Chunk(*chunk) for chunk in chunks), *others))


def png_without(kind: bytes, png: bytes = PNG) -> bytes:
    """A good PNG file that lacks one kind of chunk."""
    return write_chunks(chunk for chunk in read_chunks(png, 1000) if chunk.kind != kind)


def cut_finely(pieces: int) -> bytes:
    """A good PNG file, its pixel data in many chunks, most of them empty."""
    header, *others = read_chunks(PNG, 1000)
    return write_chunks((header, *others, *[Chunk(b"IDAT", b"")] * pieces))


def wrong_checksum(kind: bytes, png: bytes = PNG) -> bytes:
    """The file with the checksum of the first chunk of this kind changed."""
    at = png.index(kind) - 4
    end = at + 8 + int.from_bytes(png[at : at + 4])
    return png[:end] + bytes((png[end] ^ 1,)) + png[end + 1 :]


def zip_bomb(size_bytes: int) -> bytes:
    """zlib's bytes of so many zeros: a thousandth of that."""
    deflate = zlib.compressobj(9)
    block = bytes(MIB)
    return b"".join(deflate.compress(block) for _ in range(size_bytes // MIB)) + deflate.flush()


def jpeg_with(*segments: tuple[int, bytes], jpeg: bytes = JPEG) -> bytes:
    """A good JPEG file with more segments at its beginning."""
    return b"\xff\xd8" + b"".join(_segment(*segment) for segment in segments) + jpeg[2:]


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_header_changed(at: int, value: bytes, jpeg: bytes = JPEG) -> bytes:
    """The file with some bytes of its frame header changed, counted from the sample precision."""
    start = max(jpeg.find(b"\xff\xc0\x00\x11"), jpeg.find(b"\xff\xc2\x00\x11")) + 4 + at
    return jpeg[:start] + value + jpeg[start + len(value) :]


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A progressive file whose every further scan says nothing, and costs a pass over the whole picture."""
    small = encoded(Pillow.new("L", (16, 16)), "JPEG", progressive=True)
    small = jpeg_grey_size(small, width, height)
    # Component 1, table 0, coefficients 1 to 63, first approximation; then a few bytes of entropy.
    scan = _segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + b"\x00" * 8
    return small[:-2] + scan * scans + b"\xff\xd9"


def jpeg_grey_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The file with another size in its (one-component) frame header."""
    at = max(jpeg.find(b"\xff\xc0\x00\x0b"), jpeg.find(b"\xff\xc2\x00\x0b")) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def exif(entries: Iterable[tuple[int, int, int, int]], order: str = "<") -> bytes:
    """A TIFF block of one directory: tag, type, count, value."""
    rows = list(entries)
    head = b"II*\0" if order == "<" else b"MM\0*"
    body = b"".join(struct.pack(f"{order}HHII", *row) for row in rows)
    return head + struct.pack(f"{order}IH", 8, len(rows)) + body + bytes(4)


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    """A WebP file of these chunks; ``size`` is what its head says."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def bitstream(webp: bytes = WEBP) -> tuple[bytes, bytes]:
    """The one chunk of a simple WebP file."""
    return webp[12:16], webp[20 : 20 + int.from_bytes(webp[16:20], "little")]


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The head of an extended WebP file."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X", bytes((flags, 0, 0, 0)) + size


def animated(kind: str) -> bytes:
    """Three frames."""
    first, *others = (Pillow.fromarray(noise((40, 48), seed)) for seed in (1, 2, 3))
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(first, kind, save_all=True, append_images=others, **options)


def profile(space: str) -> bytes:
    """An ICC profile: sRGB, LAB or XYZ."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def changed(content: bytes, at: int, value: bytes) -> bytes:
    """The bytes with some of them replaced."""
    return content[:at] + value + content[at + len(value) :]
