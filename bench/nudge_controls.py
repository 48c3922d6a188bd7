"""Controls for the nudge: other directions in place of the gradient. The service has none of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.denoiser_replay import DenoiserReplay
from service.diffusion.hooks import Step
from service.diffusion.nudge import Nudge


class RandomNudge(Nudge):
    """Nudges in a random direction of the same size; it must lose to the gradient."""

    def gradient(self, step: Step) -> Tensor:
        """Returns noise of the shape of x0."""
        return torch.randn(step.x0.shape, generator=self.generator_of(step)).to(step.x0.device)


class DenoiserNudge(Nudge):
    """Nudges along the gradient through the denoiser (universal guidance, Bansal et al., 2023)."""

    def __init__(self, replay: DenoiserReplay, *args: Any, **kwargs: Any) -> None:
        """Takes a replay of the denoiser; the other arguments are those of ``Nudge``."""
        super().__init__(*args, **kwargs)
        self._replay = replay

    def gradient(self, step: Step) -> Tensor:
        """Returns the gradient of the loss with respect to the noisy latents."""
        with torch.enable_grad():
            start = step.sample.detach().float().requires_grad_()
            asked = self._replay.x0(step, start.to(step.sample.dtype))
            latents = asked + (step.x0 - asked).detach()  # what earlier hooks changed still holds
            return torch.autograd.grad(self.loss(latents, self.presence, self.generator_of(step)), start)[
                0
            ].float()
