"""Good files with something done to them, the same each time."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator

from PIL import Image as Pillow

from tests.service.api.hostile import (
    JPEG,
    LOSSLESS,
    PIXELS,
    PNG,
    PROGRESSIVE,
    WEBP,
    animated,
    exif,
    jpeg_with,
    profile,
)
from tests.service.scripted import encoded, noise

_LENGTHS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds() -> list[bytes]:
    """Good files of every kind that is taken."""
    icc = profile("XYZ").replace(b"s\0R\0G\0B", b"t\0e\0s\0t")
    grey = Pillow.fromarray(noise((24, 24), channels=1)[..., 0])
    return [
        PNG,
        encoded(noise((16, 16), channels=4), icc_profile=icc),
        encoded(Pillow.fromarray(PIXELS).quantize(16), transparency=1),
        encoded(Pillow.fromarray(noise((16, 16), channels=2), "LA")),
        animated("PNG"),
        JPEG,
        PROGRESSIVE,
        encoded(grey, "JPEG"),
        encoded(Pillow.new("CMYK", (16, 16), (9, 8, 7, 6)), "JPEG", icc_profile=icc),
        jpeg_with((0xE1, b"Exif\0\0" + exif([(0x112, 3, 1, 6)]))),
        WEBP,
        LOSSLESS,
        encoded(noise((16, 16), channels=4), "WEBP", icc_profile=icc),
        animated("WEBP"),
    ]


def mutated(count: int) -> Iterator[bytes]:
    """So many files; the first ones are the same whatever the count."""
    files = seeds()
    for number in range(count):
        chance = random.Random(number)
        content = chance.choice(files)
        for _ in range(chance.randint(1, 3)):
            content = chance.choice(_CHANGES)(content, chance, files)
        # Half of the PNG files get right checksums, or else these would be all that is ever tested.
        yield _with_checksums(content) if chance.random() < 0.5 else content


def _flip(content: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 20))):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_head(content: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    return _flip(content[:64], chance, files) + content[64:]


def _cut(content: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    return content[: chance.randint(0, len(content))]


def _cut_out(content: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:start] + content[min(end, start + 200) :]


def _double(content: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:end] + content[start:end] * chance.choice((1, 2, 10)) + content[end:]


def _splice(content: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    other = chance.choice(files)
    return content[: chance.randint(0, len(content))] + other[chance.randint(0, len(other)) :]


def _length(content: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    """Another number where the length of a chunk or segment stands."""
    places = [match.start() for match in re.finditer(rb"\xff[\xc0-\xfe]|[A-Za-z]{3}[A-Za-z ]", content)]
    if not places:
        return content
    at, value = chance.choice(places), chance.choice(_LENGTHS)
    if content[at] == 0xFF:
        return content[: at + 2] + (value & 0xFFFF).to_bytes(2) + content[at + 4 :]
    if content.startswith(b"RIFF"):
        return content[: at + 4] + value.to_bytes(4, "little") + content[at + 8 :]
    return content[: max(0, at - 4)] + value.to_bytes(4) + content[at:]


def _with_checksums(content: bytes) -> bytes:
    """A PNG file with every checksum made right, as far as its chunks can be followed."""
    healed, at = bytearray(content), 8
    while content.startswith(PNG[:8]) and at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        if end + 4 > len(content):
            break
        healed[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(healed)


_CHANGES = (_flip, _flip, _flip_head, _cut, _cut_out, _double, _splice, _length, _length)
