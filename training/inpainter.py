"""Trains the bundled inpainter: the generator's denoiser, taught to draw a part into what is around it.

``python -m training.inpainter --data DIR/train --generator DIR --work DIR --out models/inpainter``

It takes nine channels, as Stable Diffusion's inpainting models do: the noisy latents, what is repainted, and
the latents of the picture without it. It sees windows on well-formed parts, a leg as large as a hand, which
the generator never did. The text encoder and the autoencoder are the generator's, unchanged.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderTiny,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm
from transformers import CLIPTokenizer

from training.anatomy.captions import caption
from training.anatomy.world import read_shard, shards
from training.autoencoder import to_model
from training.diffusion_loss import UNCONDITIONED, noised, sampling_scheduler, signal_levels
from training.diffusion_runs import export, odds_by_kind, train, write_checkpoint
from training.schedule import AveragedWeights
from training.tokens import tokenize
from training.windows import CELL_PX, Cut, cut_part

CHANNELS = 9
CUTS = {"hand": 3, "horse": 5, "person": 4, "rider": 4}
"""Windows cut from each picture."""
KIND_ODDS = {"hand": 0.36, "horse": 0.3, "person": 0.2, "rider": 0.14}
KEPT_WEIGHT = 0.15
"""What a kept cell counts in the loss: it is put back afterwards, but its edge should meet."""
WORDINGS = 4
BATCH_ENCODED = 32
DEFAULTS = {"num_inference_steps": 12, "guidance_scale": 2.0, "width": 256, "height": 256}


def widen(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same denoiser with nine channels going in; the new ones say nothing yet."""
    wide = UNet2DConditionModel.from_config(dict(unet.config) | {"in_channels": CHANNELS})
    assert isinstance(wide, UNet2DConditionModel)
    state = unet.state_dict()
    first = state["conv_in.weight"]
    state["conv_in.weight"] = F.pad(first, (0, 0, 0, 0, 0, CHANNELS - first.shape[1]))
    wide.load_state_dict(state)
    return wide


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Training samples.

    Scaled latents float16 (N, 4, 32, 32) of windows, and of the windows without the repainted area; that area
    as bool (N, 1, 32, 32); tokens int64 (N, WORDINGS, length), and (length,) of the empty caption; the
    probability of each window, summing to 1.
    """

    latents: torch.Tensor
    around: torch.Tensor
    repainted: torch.Tensor
    tokens: torch.Tensor
    no_caption: torch.Tensor
    odds: torch.Tensor


def cut_shard(path: Path, seed: int) -> tuple[list[Cut], list[dict[str, Any]]]:
    """Windows on the well-formed pictures of a shard, and the facts of each."""
    rng = np.random.default_rng([seed, *path.stem.encode()])
    cuts, facts = [], []
    for picture, line in zip(*read_shard(path), strict=True):
        parts = [part for part in line["parts"] if part["kind"] != "body"]
        if not parts or any(part["defect"] for part in line["parts"]):
            continue
        for _ in range(CUTS[line["kind"]]):
            cuts.append(cut_part(picture, parts, int(rng.integers(len(parts))), rng))
            facts.append({key: line[key] for key in ("kind", "words")})
    return cuts, facts


@torch.no_grad()
def encode(autoencoder: AutoencoderTiny, cuts: list[Cut]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Scaled latents (N, 4, 32, 32) of the windows, and of them with grey where they are repainted."""
    made: list[list[NDArray[np.float16]]] = [[], []]
    for at in range(0, len(cuts), BATCH_ENCODED):
        some = cuts[at : at + BATCH_ENCODED]
        pixels = to_model(np.stack([cut.picture for cut in some]), "cpu")
        holes = torch.from_numpy(np.stack([cut.repainted for cut in some]))[:, None]
        for kept, shown in zip(made, (pixels, pixels * (1 - holes)), strict=True):
            shown = shown.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                latents = autoencoder.encode(shown).latents
            kept.append((latents.float() * autoencoder.config.scaling_factor).half().numpy())
    return np.concatenate(made[0]), np.concatenate(made[1])


def prepare(data: list[Path], autoencoder: AutoencoderTiny, kept: Path, seed: int) -> list[Path]:
    """Cuts and encodes every shard once; a run that was cut short goes on where it stopped."""
    kept.mkdir(parents=True, exist_ok=True)
    paths = [(folder, path) for folder in data for path in shards(folder)]
    made = []
    for folder, path in tqdm(paths, desc="windows", unit="shards"):
        target = kept / f"{folder.name}-{path.stem}.npz"
        made.append(target)
        if not target.with_suffix(".jsonl").exists():
            cuts, facts = cut_shard(path, seed)
            latents, around = encode(autoencoder, cuts)
            cells = np.stack([cut.repainted[None, ::CELL_PX, ::CELL_PX] for cut in cuts]) > 0
            np.savez(target, latents=latents, around=around, repainted=cells)
            target.with_suffix(".jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    return made


def load_samples(paths: list[Path], tokenizer: CLIPTokenizer) -> Samples:
    """All windows that ``prepare`` made."""
    arrays: dict[str, list[NDArray[Any]]] = {"latents": [], "around": [], "repainted": []}
    facts: list[dict[str, Any]] = []
    for path in paths:
        with np.load(path) as kept:
            for name, parts in arrays.items():
                parts.append(kept[name])
        facts += [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    rng = np.random.default_rng(0)
    texts = [caption(fact["kind"], fact["words"], rng) for fact in facts for _ in range(WORDINGS)]
    odds = odds_by_kind([fact["kind"] for fact in facts], KIND_ODDS)
    tensors = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in arrays.items()}
    return Samples(
        **tensors,
        tokens=tokenize(texts, tokenizer).view(len(facts), WORDINGS, -1),
        no_caption=tokenize([""], tokenizer)[0],
        odds=torch.from_numpy(odds),
    )


class Trainer:
    """One training run: the denoiser, its average, and one step. The text encoder is not trained."""

    def __init__(self, samples: Samples, pipeline: StableDiffusionPipeline, seed: int) -> None:
        self.samples, self.text_encoder = samples, pipeline.text_encoder
        self.unet = widen(pipeline.unet).to(memory_format=torch.channels_last).train()
        self.average = AveragedWeights(self.unet, 0.999)
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), weight_decay=0.01, betas=(0.9, 0.99))
        self.alphas = signal_levels("cpu")
        self.random = torch.Generator().manual_seed(seed)
        self.seen = 0

    def step(self, size: int, bf16: bool) -> torch.Tensor:
        """One optimizer step on ``size`` samples; returns the loss, a scalar."""
        samples, random = self.samples, self.random
        rows = torch.multinomial(samples.odds, size, replacement=True, generator=random)
        tokens = samples.tokens[rows, torch.randint(WORDINGS, (size,), generator=random)]
        dropped = torch.rand(size, generator=random) < UNCONDITIONED
        tokens = torch.where(dropped[:, None], samples.no_caption, tokens)
        latents, around = samples.latents[rows].float(), samples.around[rows].float()
        holes = samples.repainted[rows].float()
        noise = torch.randn(latents.shape, generator=random)
        timesteps = torch.randint(len(self.alphas), (size,), generator=random)
        noisy, wanted, weight = noised(latents, noise, self.alphas[timesteps])
        shown = torch.cat((noisy, holes, around), dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                text = self.text_encoder(tokens)[0]
            made = self.unet(shown, timesteps, text).sample
        counted = holes + KEPT_WEIGHT * (1 - holes)
        errors = (counted * F.mse_loss(made.float(), wanted, reduction="none")).sum(dim=(1, 2, 3))
        loss = (weight * errors / (latents.shape[1] * counted.sum(dim=(1, 2, 3)))).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self.average.update(self.unet)
        self.seen += size
        return loss.detach()

    def save(self, path: Path) -> None:
        """Writes a checkpoint to go on from, whole or not at all."""
        state = {
            "unet": self.unet.state_dict(),
            "average": self.average.module.state_dict(),
            "averaged": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "seen": self.seen,
        }
        write_checkpoint(state, path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.average.module.load_state_dict(state["average"])
        self.average.steps = state["averaged"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.seen = state["seen"]


def export_averages(trainer: Trainer, generator: StableDiffusionPipeline, out: Path) -> None:
    """Writes the averaged weights as a folder that ``StableDiffusionInpaintPipeline`` loads."""
    pipeline = StableDiffusionInpaintPipeline(
        vae=generator.vae.half(),
        text_encoder=generator.text_encoder.half(),
        tokenizer=generator.tokenizer,
        unet=trainer.average.module.half(),
        scheduler=sampling_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    export(pipeline, DEFAULTS, out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of rendered shards")
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--bf16", action="store_true", help="autocast; worth it with avx512_bf16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    generator = StableDiffusionPipeline.from_pretrained(args.generator, dtype=torch.float32)
    autoencoder = generator.vae.to(memory_format=torch.channels_last)
    paths = prepare(args.data, autoencoder, args.work / "windows", args.seed)
    trainer = Trainer(load_samples(paths, generator.tokenizer), generator, args.seed)
    checkpoint = args.work / "inpainter.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    train(trainer, checkpoint, args.minutes, args.rate, args.batch, args.bf16, log_every=50)
    export_averages(trainer, generator, args.out)


if __name__ == "__main__":
    main()
