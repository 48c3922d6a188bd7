"""Makes renders look like the generator's own pictures while their truth stays known.

A detector trained on renders alone would learn that a soft edge or a latent model's texture is a defect. So a
share of its pictures goes through the autoencoder, and another is partly re-noised and denoised by the
generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline
from numpy.typing import NDArray

from training.autoencoder import to_model
from training.tokens import tokenize

RENOISE_STEPS = 10
RENOISE_STRENGTHS = (0.1, 0.4)
"""Shares of the schedule that are run again: beyond this the generator begins to move fingers."""


def to_pictures(pixels: torch.Tensor) -> NDArray[np.uint8]:
    """Float (N, 3, H, W) in [-1, 1] to uint8 (N, H, W, 3)."""
    made = ((pixels * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return made.permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def round_trip(autoencoder: AutoencoderTiny, pictures: NDArray[np.uint8], device: str) -> NDArray[np.uint8]:
    """Pictures uint8 (N, H, W, 3) through the autoencoder and back."""
    return to_pictures(autoencoder.decode(autoencoder.encode(to_model(pictures, device)).latents).sample)


@torch.no_grad()
def renoise(
    pipeline: StableDiffusionPipeline,
    pictures: NDArray[np.uint8],
    captions: Sequence[str],
    strength: float,
    generator: torch.Generator,
) -> NDArray[np.uint8]:
    """Pictures uint8 (N, H, W, 3) noised to ``strength`` of the schedule and denoised by the generator."""
    device = str(pipeline.device)
    scheduler, scale = pipeline.scheduler, pipeline.vae.config.scaling_factor
    latents = pipeline.vae.encode(to_model(pictures, device)).latents * scale
    text = pipeline.text_encoder(tokenize(captions, pipeline.tokenizer).to(device))[0]
    scheduler.set_timesteps(RENOISE_STEPS, device=device)
    timesteps = scheduler.timesteps[-max(1, round(RENOISE_STEPS * strength)) :]
    noise = torch.randn(latents.shape, generator=generator).to(device)
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    for timestep in timesteps:
        made = pipeline.unet(latents, timestep, text).sample
        latents = scheduler.step(made, timestep, latents).prev_sample
    return to_pictures(pipeline.vae.decode(latents / scale).sample)


def spoil(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Degrades a picture as it happens on the way: a resize and back, a JPEG; each with probability 0.5."""
    size = picture.shape[1::-1]
    if rng.random() < 0.5:
        share = rng.uniform(0.55, 0.95)
        small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    if rng.random() < 0.5:
        picture = jpeg(picture, int(rng.integers(60, 96)))
    return picture


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture file as uint8 RGB (H, W, 3).

    Raises:
        ValueError: if it cannot be read.
    """
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise ValueError(f"{path} is no picture")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The picture after a JPEG of that quality, uint8 RGB."""
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1], np.uint8)
