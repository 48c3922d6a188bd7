"""PSNR of the bundled autoencoder by kind of scene: ``python -m bench.autoencoder --test DIR/test``."""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusers import AutoencoderTiny

from bench.intervals import machine, table
from service.runtime.settings import MODELS_DIR
from training.anatomy.world import KIND_ODDS, read_shard, shards
from training.autoencoder import psnr_db


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=Path, required=True, help="held-out renders")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--count", type=int, default=64, help="pictures of each kind")
    args = parser.parse_args()
    autoencoder = AutoencoderTiny.from_pretrained(args.models / "generator", subfolder="vae").float()
    rows = []
    for kind in KIND_ODDS:
        first = next(path for path in shards(args.test) if path.stem.startswith(kind))
        pictures = read_shard(first)[0][: args.count]
        rows.append([kind, len(pictures), f"{psnr_db(autoencoder, pictures, 'cpu'):.2f} dB"])
    print(machine())
    print(table(["kind", "pictures", "PSNR"], rows))


if __name__ == "__main__":
    main()
