"""Trains the bundled generator: a small latent diffusion model in the ordinary diffusers folder layout.

``python -m training.generator --data DIR/train --autoencoder DIR --work DIR --out models/generator``

Only scenes without a defect and with a calm background are used. Latents are made once and kept in
``--work``, beside the checkpoint from which a run that was cut short goes on.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.anatomy.captions import caption
from training.anatomy.world import read_shard, shards
from training.autoencoder import to_model
from training.diffusion_loss import UNCONDITIONED, noised, sampling_scheduler, signal_levels
from training.diffusion_runs import export, odds_by_kind, train, write_checkpoint
from training.schedule import AveragedWeights
from training.tokens import tokenize
from training.vocabulary import build_tokenizer

WIDTHS = {"small": (32, 64, 128, 192), "base": (64, 128, 192, 256)}
"""Channels by level. On a CPU the small one sees nearly three times as many samples in the same time."""
DEFAULTS = {"num_inference_steps": 12, "guidance_scale": 3.0, "width": 256, "height": 256}
KIND_ODDS = {"hand": 0.4, "horse": 0.28, "person": 0.2, "rider": 0.12}
"""Hands first: they are what is redrawn most."""
CALM_SPREAD = 1.5
"""How far, of 255, a calm background strays from a smooth curve along an edge of the picture."""
WORDINGS = 8
"""Captions made of each scene. They are tokenized once: at each step it would take longer than the step."""


def build_unet(size: str) -> UNet2DConditionModel:
    """The untrained denoiser, one of ``WIDTHS``; attention only at 8×8 and 4×4 cells, for the CPU's sake."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        block_out_channels=WIDTHS[size],
        layers_per_block=1,
        cross_attention_dim=192,
        # The whole caption also goes in beside the time step: a colour word is learnt far sooner that way
        # than by attention at 8×8 cells alone.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder: the captions are simple, so is this."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Training samples, all of them on one device.

    Scaled latents float16 (N, 2, 4, 32, 32), each also mirrored; tokens int64 (N, WORDINGS, length) of their
    captions, and (length,) of the empty one; and each sample's kind.
    """

    latents: torch.Tensor
    tokens: torch.Tensor
    no_caption: torch.Tensor
    kinds: list[str]

    def odds(self) -> NDArray[np.float64]:
        """Returns each sample's probability, (N,): each kind has its share in ``KIND_ODDS``."""
        return odds_by_kind(self.kinds, KIND_ODDS)


def is_calm(picture: NDArray[np.uint8]) -> bool:
    """Returns True if the background is plain, graded or a sky, by the colours along the upper edge."""
    edge = picture[:6].astype(np.float64).mean(axis=0)
    x = np.linspace(-1, 1, len(edge))
    wobble = edge - np.polynomial.polynomial.polyval(x, np.polynomial.polynomial.polyfit(x, edge, 3)).T
    return float(wobble.std(axis=0).max()) < CALM_SPREAD


def load_samples(
    data: Path, autoencoder: AutoencoderTiny, tokenizer: CLIPTokenizer, kept: Path, device: str
) -> Samples:
    """The latents of all well-formed scenes with a calm background, made once per shard and kept."""
    kept.mkdir(parents=True, exist_ok=True)
    paths = list(shards(data))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        made = pool.map(partial(_load_shard, autoencoder=autoencoder, kept=kept, device=device), paths)
        parts = list(tqdm(made, desc="latents", unit="shards", total=len(paths)))
    facts = [line for _, lines in parts for line in lines]
    rng = np.random.default_rng(0)
    texts = [caption(line["kind"], line["words"], rng) for line in facts for _ in range(WORDINGS)]
    scaled = torch.from_numpy(np.concatenate([part for part, _ in parts])) * autoencoder.config.scaling_factor
    return Samples(
        scaled.to(device),
        tokenize(texts, tokenizer).view(len(facts), WORDINGS, -1).to(device),
        tokenize([""], tokenizer)[0].to(device),
        [line["kind"] for line in facts],
    )


def _load_shard(
    path: Path, autoencoder: AutoencoderTiny, kept: Path, device: str
) -> tuple[NDArray[np.float16], list[dict[str, Any]]]:
    made, facts = kept / f"{path.stem}.npy", kept / f"{path.stem}.json"
    if not facts.exists():
        pictures, lines = read_shard(path)
        rows = [
            i
            for i, line in enumerate(lines)
            if not any(part["defect"] for part in line["parts"]) and is_calm(pictures[i])
        ]
        np.save(made, _encoded(pictures[rows], autoencoder, device))
        facts.write_text(json.dumps([{k: lines[i][k] for k in ("kind", "words")} for i in rows]))
    return np.load(made), json.loads(facts.read_text())


@torch.no_grad()
def _encoded(pictures: NDArray[np.uint8], autoencoder: AutoencoderTiny, device: str) -> NDArray[np.float16]:
    both = np.stack((pictures, pictures[:, :, ::-1]), axis=1).reshape(-1, *pictures.shape[1:])
    parts = [
        autoencoder.encode(to_model(both[at : at + 32], device)).latents.half().cpu().numpy()
        for at in range(0, len(both), 32)
    ]
    encoded = np.concatenate(parts)
    return np.asarray(encoded.reshape(len(pictures), 2, *encoded.shape[1:]), np.float16)


class Trainer:
    """One training run: the modules, their averages, and one step."""

    def __init__(self, samples: Samples, tokenizer: CLIPTokenizer, size: str, device: str, seed: int) -> None:
        self.samples, self.tokenizer, self.device = samples, tokenizer, device
        self.unet = build_unet(size).to(device, memory_format=torch.channels_last)
        self.text_encoder = build_text_encoder(tokenizer).to(device)
        self.averages = [AveragedWeights(module, 0.999) for module in (self.unet, self.text_encoder)]
        parameters = [*self.unet.parameters(), *self.text_encoder.parameters()]
        self.optimizer = torch.optim.AdamW(
            parameters, lr=1e-4, weight_decay=0.01, betas=(0.9, 0.99), fused=device == "cuda"
        )
        self.parameters = parameters
        self.alphas = signal_levels(device)
        self.random = torch.Generator(device).manual_seed(seed)
        self.odds = torch.from_numpy(samples.odds()).to(device)
        self.seen = 0

    def compile(self) -> None:
        """Has the denoiser compiled: twice as fast on a GPU, after a minute."""
        self.unet.compile()

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random latents (size, 4, 32, 32) and the tokens (size, length) of captions, some of them empty."""
        rows = torch.multinomial(self.odds, size, replacement=True, generator=self.random)
        mirrored, wording = self._whole(2, size), self._whole(WORDINGS, size)
        dropped = torch.rand(size, device=self.device, generator=self.random) < UNCONDITIONED
        tokens = torch.where(dropped[:, None], self.samples.no_caption, self.samples.tokens[rows, wording])
        return self.samples.latents[rows, mirrored].float(), tokens

    def _whole(self, below: int, size: int) -> torch.Tensor:
        return torch.randint(below, (size,), device=self.device, generator=self.random)

    def step(self, size: int, bf16: bool) -> torch.Tensor:
        """One optimizer step on ``size`` samples; returns the loss, a scalar that is still on the device."""
        latents, tokens = self.batch(size)
        noise = torch.randn(latents.shape, device=self.device, generator=self.random)
        timesteps = self._whole(len(self.alphas), size)
        noisy, wanted, weight = noised(latents, noise, self.alphas[timesteps])
        with torch.autocast(self.device, torch.bfloat16, enabled=bf16):
            text = self.text_encoder(tokens)[0]
            made = self.unet(noisy, timesteps, text).sample
        loss = (weight * F.mse_loss(made.float(), wanted, reduction="none").mean(dim=(1, 2, 3))).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        for average, module in zip(self.averages, (self.unet, self.text_encoder), strict=True):
            average.update(module)
        self.seen += size
        return loss.detach()

    def save(self, path: Path) -> None:
        """Writes a checkpoint to go on from, whole or not at all."""
        state = {
            "unet": self.unet.state_dict(),
            "text_encoder": self.text_encoder.state_dict(),
            "averages": [average.module.state_dict() for average in self.averages],
            "optimizer": self.optimizer.state_dict(),
            "seen": self.seen,
        }
        write_checkpoint(state, path)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.text_encoder.load_state_dict(state["text_encoder"])
        for average, weights in zip(self.averages, state["averages"], strict=True):
            average.module.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.seen = state["seen"]


def export_averages(trainer: Trainer, autoencoder: AutoencoderTiny, out: Path) -> None:
    """Writes the averaged weights as a folder that ``StableDiffusionPipeline.from_pretrained`` loads."""
    unet, text_encoder = (average.module for average in trainer.averages)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder.half(),
        text_encoder=text_encoder.half(),
        tokenizer=trainer.tokenizer,
        unet=unet.half(),
        scheduler=sampling_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    export(pipeline, DEFAULTS, out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=list(WIDTHS), default="base")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8, help="32 and more on a GPU")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--bf16", action="store_true", help="autocast; worth it on a GPU or with avx512_bf16")
    parser.add_argument("--compile", action="store_true", help="worth it on a GPU")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    autoencoder = AutoencoderTiny.from_pretrained(args.autoencoder).float().to(device)
    tokenizer = build_tokenizer()
    samples = load_samples(args.data, autoencoder, tokenizer, args.work / "latents", device)
    trainer = Trainer(samples, tokenizer, args.size, device, args.seed)
    checkpoint = args.work / "generator.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    if args.compile:
        trainer.compile()
    train(trainer, checkpoint, args.minutes, args.rate, args.batch, args.bf16, log_every=200)
    export_averages(trainer, autoencoder, args.out)


if __name__ == "__main__":
    main()
