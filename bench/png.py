"""Time to write PNG files, and their size, by compression setting: ``python -m bench.png PICTURE …``."""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image as Pillow

from bench.intervals import machine, table

REPEAT = 3
SETTINGS: Mapping[str, tuple[int, int]] = {
    "level 3, as it was": (3, zlib.Z_DEFAULT_STRATEGY),
    "level 1": (1, zlib.Z_DEFAULT_STRATEGY),
    "level 1, filtered": (1, zlib.Z_FILTERED),
    "level 3, runs alone": (3, zlib.Z_RLE),
    "no repetitions": (1, zlib.Z_HUFFMAN_ONLY),
}


def written(picture: Pillow.Image, level: int, strategy: int) -> tuple[float, int]:
    """Returns the processor time of the fastest turn in milliseconds, and the size in bytes."""
    taken, size = float("inf"), 0
    for _ in range(REPEAT):
        buffer, start = BytesIO(), time.process_time()
        picture.save(buffer, "PNG", compress_level=level, compress_type=strategy)
        taken, size = min(taken, (time.process_time() - start) * 1000), buffer.tell()
    return taken, size


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    args = parser.parse_args()
    rows = []
    for path in args.pictures:
        picture = Pillow.open(path).convert("RGB")
        found = {name: written(picture, *setting) for name, setting in SETTINGS.items()}
        first_ms, first_bytes = next(iter(found.values()))
        for name, (taken, size) in found.items():
            row = [path.name, f"{picture.width}×{picture.height}", name, f"{taken:.1f}"]
            rows.append([*row, f"{first_ms / taken:.2f}", f"{size / first_bytes:.2f}"])
    print(machine())
    print(table(["picture", "size", "setting", "ms", "times as fast", "times the bytes"], rows))


if __name__ == "__main__":
    main()
