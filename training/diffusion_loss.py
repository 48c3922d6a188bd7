"""Noise schedule and loss of one step, the same for the generator and the inpainter."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler

SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "clip_sample": False,
    "steps_offset": 1,
}
"""Zero terminal signal (Lin et al. 2024, arXiv 2305.08891), so that dark and bright pictures can be made."""
SNR_CAP = 5.0
"""After the min-SNR weight of Hang et al. 2023 (arXiv 2303.09556), but flat where the signal is weak."""
UNCONDITIONED = 0.12
"""Share of samples trained with an empty caption, for classifier-free guidance."""


def signal_levels(device: str) -> torch.Tensor:
    """The cumulated alphas of ``SCHEDULE``, (1000,)."""
    alphas = DDPMScheduler(**SCHEDULE).alphas_cumprod
    assert isinstance(alphas, torch.Tensor)
    return alphas.to(device)


def sampling_scheduler() -> DDIMScheduler:
    """The scheduler that both models are shipped with."""
    return DDIMScheduler(**SCHEDULE, timestep_spacing="trailing", set_alpha_to_one=True)


def noised(
    latents: torch.Tensor, noise: torch.Tensor, alphas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents (N, C, H, W) noised to the levels ``alphas`` (N,), what v is to be, and the weights (N,)."""
    signal, strength = (level.sqrt()[:, None, None, None] for level in (alphas, 1 - alphas))
    noisy = (signal * latents + strength * noise).contiguous(memory_format=torch.channels_last)
    snr = alphas / (1 - alphas)
    # The loss on v is (SNR + 1) times that on x0. Noisy steps, which decide what the picture shows, keep
    # their full weight; only the nearly clean ones are held down.
    weight = torch.clamp(SNR_CAP / (snr + 1), max=1.0)
    return noisy, signal * noise - strength * latents, weight
