"""Writes a set of scenes: ``python -m training.anatomy.world --out DIR --split train --count 16000``.

A split is a folder of shards of one kind of scene each: ``KIND-NNNN.npz`` with the pictures and
``KIND-NNNN.jsonl`` with one line of truth per picture. A shard depends only on split, kind and number, so a
run that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

SHARD = 250
SPLITS = {"train": 0, "select": 1, "test": 2, "critic": 3, "judge": 4}
"""Seeds never meet between splits; select and test also draw on held-out bodies, poses and patterns."""
HELD_OUT = ("select", "test")
KIND_ODDS = {"hand": 0.38, "horse": 0.28, "person": 0.22, "rider": 0.12}

_world: Any = None


def read_shard(path: Path) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """uint8 pictures (N, H, W, 3) and their truth, by the path of the ``.npz``."""
    with np.load(path) as kept:
        pictures = kept["pictures"]
    return pictures, [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]


def shards(folder: Path) -> Iterator[Path]:
    """The finished shards of a split, in order."""
    return iter(sorted(path for path in folder.glob("*.npz") if path.with_suffix(".jsonl").exists()))


def write_shard(path: Path, pictures: NDArray[np.uint8], lines: list[dict[str, Any]]) -> None:
    """Writes ``path`` and, beside it, one line of truth per picture; what is cut short is not there.

    Args:
        path: ends in ``.npz``.
        pictures: uint8 RGB (N, H, W, 3).
        lines: N of them.
    """
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, pictures=pictures)
    unfinished.rename(path)
    # The truth is written last: a shard without it is not finished.
    path.with_suffix(".jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _start(assets: Path, people: Path, size_px: int) -> None:
    global _world  # one GL context per worker process, made once
    from training.anatomy.scenes import World

    _world = World(assets, people, size_px)


def _write_shard(job: tuple[Path, str, str, int, float]) -> int:
    folder, split, kind, number, malformed_share = job
    target = folder / f"{kind}-{number:04d}.npz"
    if target.with_suffix(".jsonl").exists():
        return SHARD
    first = (SPLITS[split] << 32) + (list(KIND_ODDS).index(kind) << 28) + number * SHARD
    rng = np.random.default_rng(first)
    pictures, truth = [], []
    for index in range(SHARD):
        seed = first + index
        scene = _world.scene(
            seed, kind, malformed=bool(rng.random() < malformed_share), held_out=split in HELD_OUT
        )
        pictures.append(scene.image)
        parts = [asdict(part) for part in scene.parts]
        truth.append(
            {"seed": seed, "kind": kind, "caption": scene.caption, "words": scene.words, "parts": parts}
        )
    write_shard(target, np.stack(pictures), truth)
    return SHARD


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of all splits")
    parser.add_argument("--split", choices=list(SPLITS), required=True)
    parser.add_argument(
        "--count", type=int, required=True, help="pictures of all kinds together, rounded up to whole shards"
    )
    parser.add_argument("--kinds", nargs="+", choices=list(KIND_ODDS), default=list(KIND_ODDS))
    parser.add_argument("--malformed", type=float, default=0.5, help="share of pictures with a defect")
    parser.add_argument("--name", help="folder's name, if another than the split's")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--assets", type=Path, required=True, help="folder with horse/*.glb and hand/*.glb")
    parser.add_argument("--people", type=Path, required=True, help="file of bodies, made if it is not there")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    folder = args.out / (args.name or args.split)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder, args.split, kind, number, args.malformed)
        for kind in args.kinds
        for number in range(args.first, args.first + -(-round(args.count * KIND_ODDS[kind]) // SHARD))
    ]
    workers = get_context("spawn").Pool(args.workers, _start, (args.assets, args.people, args.size))
    with workers, tqdm(total=len(jobs) * SHARD, unit="pictures") as bar:
        for done in workers.imap_unordered(_write_shard, jobs):
            bar.update(done)


if __name__ == "__main__":
    main()
