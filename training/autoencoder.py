"""Trains the bundled autoencoder.

``python -m training.autoencoder --data DIR/train --held-out DIR/select --out DIR``

A narrow ``AutoencoderTiny``: 256×256×3 to 32×32×4 and back. Most of its layers work at low resolution, since
on a CPU the full-resolution ones cost nearly all the time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch.nn import functional as F

from training.anatomy.world import read_shard, shards
from training.schedule import AveragedWeights, Budget, set_learning_rate

CROP_PX = 64


def build() -> AutoencoderTiny:
    """The untrained autoencoder."""
    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(4, 3, 1, 0),
        latent_channels=4,
        scaling_factor=1.0,
    )


def load_pictures(folder: Path, limit: int) -> NDArray[np.uint8]:
    """About ``limit`` pictures of a split, as many from each shard, uint8 (N, H, W, 3)."""
    found = list(shards(folder))
    each = max(1, limit // len(found))
    return np.concatenate([read_shard(path)[0][:each] for path in found])


def to_model(pictures: NDArray[np.uint8], device: str) -> torch.Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    return (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _crops(pictures: NDArray[np.uint8], batch: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    size = pictures.shape[1]
    picked = np.empty((batch, CROP_PX, CROP_PX, 3), np.uint8)
    for row in range(batch):
        # Bodies stand in the middle, and that is where detail is.
        y, x = np.clip(rng.normal((size - CROP_PX) / 2, size / 5, 2), 0, size - CROP_PX).astype(int)
        picture = pictures[rng.integers(len(pictures)), y : y + CROP_PX, x : x + CROP_PX]
        picked[row] = picture[:, ::-1] if rng.random() < 0.5 else picture
    return picked


@torch.no_grad()
def psnr_db(model: AutoencoderTiny, pictures: NDArray[np.uint8], device: str) -> float:
    """Mean peak signal-to-noise ratio over whole pictures, in dB, after rounding to 8 bits."""
    values = []
    for start in range(0, len(pictures), 8):
        wanted = to_model(pictures[start : start + 8], device)
        made = model.decode(model.encode(wanted).latents).sample
        made = ((made * 0.5 + 0.5).clamp(0, 1) * 255).round() / 255
        error = F.mse_loss(made, wanted * 0.5 + 0.5, reduction="none").mean(dim=(1, 2, 3))
        values += (-10 * torch.log10(error)).tolist()
    return float(np.mean(values))


@torch.no_grad()
def latent_std(model: AutoencoderTiny, pictures: NDArray[np.uint8], device: str) -> float:
    """Standard deviation of the latents, whose inverse is the scaling factor."""
    return float(model.encode(to_model(pictures, device)).latents.std())


def forget_derived(config: Path) -> None:
    """Drops what the autoencoder works out by itself and warns of when stored, and where it once lay."""
    dropped = ("block_out_channels", "_name_or_path")
    kept = {key: value for key, value in json.loads(config.read_text()).items() if key not in dropped}
    config.write_text(json.dumps(kept, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an autoencoder to go on from")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=8, help="small: many steps matter more than quiet ones")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    pictures, held_out = load_pictures(args.data, args.limit), load_pictures(args.held_out, 64)
    model = AutoencoderTiny.from_pretrained(args.start) if args.start else build()
    model = model.float().to(device, memory_format=torch.channels_last)
    average = AveragedWeights(model, 0.998)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=1e-4, betas=(0.9, 0.99))
    budget, step = Budget(args.minutes), 0
    while budget.progress < 1:
        set_learning_rate(optimizer, budget.learning_rate(args.rate))
        wanted = to_model(_crops(pictures, args.batch, rng), device)
        latents = model.encode(wanted).latents
        # The decoder will be given latents that a denoiser made, so it must bear a little noise.
        made = model.decode(latents + 0.02 * torch.randn_like(latents)).sample
        loss = F.mse_loss(made, wanted) + 0.1 * F.l1_loss(made, wanted) + 1e-4 * latents.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        step += 1
        if step % 1000 == 0 or budget.progress >= 1:
            model_db = psnr_db(average.module, held_out, device)
            print(
                f"{budget.progress:5.1%} step {step} loss {loss.item():.5f} held-out {model_db:.2f} dB",
                flush=True,
            )
            finished: AutoencoderTiny = average.module
            finished.register_to_config(scaling_factor=1 / latent_std(finished, held_out, device))
            finished.save_pretrained(args.out)


if __name__ == "__main__":
    main()
