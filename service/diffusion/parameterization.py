"""Conversion of a denoiser's output to x0, for every supported scheduler and prediction type.

All schedulers model a noisy sample as ``alpha * x0 + sigma * noise``. They differ in these two numbers and
in the prediction type. So x0 is ``keep * sample + gain * model_output``, with two numbers for each case
(Salimans and Ho, "Progressive distillation", 2022, appendix D; Lipman et al., "Flow matching", 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from service.core.errors import ModelUnavailable


class PredictionType(StrEnum):
    """Prediction types of a model, by the schedulers' own names."""

    EPSILON = "epsilon"
    SAMPLE = "sample"
    V = "v_prediction"
    FLOW = "flow_prediction"


@dataclass(frozen=True, slots=True)
class Parameterization:
    """Noise level and prediction type of one model output.

    Attributes:
        kind: the prediction type.
        alpha: share of x0 in the sample, in [0, 1].
        sigma: scale of the unit noise in the sample, 0 or more.
    """

    kind: PredictionType
    alpha: float
    sigma: float

    @property
    def keep(self) -> float:
        """Factor of the sample in x0."""
        if self.kind is PredictionType.EPSILON:
            return 1.0 / self.alpha
        if self.kind is PredictionType.V:
            return self.alpha / (self.alpha**2 + self.sigma**2)
        return 1.0 if self.kind is PredictionType.FLOW else 0.0

    @property
    def gain(self) -> float:
        """Factor of the model output in x0."""
        if self.kind is PredictionType.EPSILON:
            return -self.sigma / self.alpha
        if self.kind is PredictionType.V:
            return -self.sigma / float((self.alpha**2 + self.sigma**2) ** 0.5)
        return -self.sigma if self.kind is PredictionType.FLOW else 1.0

    def x0(self, model_output: Tensor, sample: Tensor) -> Tensor:
        """Returns the predicted finished latents, float32 of the sample's shape; differentiable in both."""
        return self.keep * sample.float() + self.gain * model_output.float()

    def output_for(self, changed: Tensor, x0: Tensor, model_output: Tensor, sample: Tensor) -> Tensor:
        """Returns the model output that predicts ``changed``.

        Args:
            changed: the wanted x0.
            x0: the predicted x0, after the scheduler's clipping, if it clips.
            model_output: the model's output.
            sample: the noisy latents.

        Returns:
            Of the shape and dtype of ``model_output``, and equal to it, bit for bit, where
            ``changed`` equals ``x0``.

        Raises:
            ValueError: no noise is left, so that no output could change x0.
        """
        if self.gain == 0.0:
            raise ValueError("x0 cannot be changed where the sample holds no noise")
        # Computed from the difference, so that rounding affects only what changes.
        moved = model_output.float() + (changed.float() - self.x0(model_output, sample)) / self.gain
        return torch.where(changed != x0, moved.to(model_output.dtype), model_output)

    def renoised(self, x0: Tensor, noise: Tensor) -> Tensor:
        """Returns a noisy sample of this noise level around ``x0``, float32."""
        return self.alpha * x0.float() + self.sigma * noise.float()


def parameterization_of(scheduler: Any, timestep: Any) -> Parameterization:
    """Returns the parameterization of the output for the next ``scheduler.step``.

    Args:
        scheduler: a diffusers scheduler in the middle of a run.
        timestep: one of its timesteps, number or tensor.

    Raises:
        ModelUnavailable: the scheduler is not supported.
    """
    kind = _kind(scheduler)
    if hasattr(scheduler, "sigmas") and hasattr(scheduler, "index_for_timestep"):
        return Parameterization(kind, *_level_of_sigma(scheduler, _sigma(scheduler, timestep), kind))
    if hasattr(scheduler, "alphas_cumprod"):
        share = float(scheduler.alphas_cumprod[int(timestep)])
        return Parameterization(kind, share**0.5, (1.0 - share) ** 0.5)
    raise _not_understood(scheduler)


def is_understood(scheduler: Any) -> bool:
    """Tells whether ``parameterization_of`` supports this scheduler."""
    try:
        _kind(scheduler)
    except ModelUnavailable:
        return False
    return hasattr(scheduler, "sigmas") or hasattr(scheduler, "alphas_cumprod")


def restricted(scheduler: Any, x0: Tensor) -> Tensor:
    """Returns ``x0`` clipped as the scheduler does, if it is set to clip."""
    config = scheduler.config
    if config.get("thresholding"):
        thresholded: Tensor = scheduler._threshold_sample(x0)
        return thresholded
    if config.get("clip_sample"):
        reach = config.get("clip_sample_range") or 1.0
        return x0.clamp(-reach, reach)
    return x0


def schedule_index(scheduler: Any, timestep: Any) -> int:
    """Returns the index of the next step in ``scheduler.timesteps``."""
    for known in ("step_index", "begin_index"):
        index = getattr(scheduler, known, None)
        if index is not None:
            return int(index)
    if hasattr(scheduler, "index_for_timestep"):
        return int(scheduler.index_for_timestep(timestep))
    return int((scheduler.timesteps - timestep).abs().argmin())


def _kind(scheduler: Any) -> PredictionType:
    config = scheduler.config
    if "sigma_data" in config:  # EDM preconditioning: the output is of none of the prediction types
        raise _not_understood(scheduler)
    if hasattr(
        scheduler, "scale_noise"
    ):  # only flow-matching schedulers have it, and they have one prediction type
        return PredictionType.FLOW
    named = config.get("prediction_type")
    try:
        return PredictionType.SAMPLE if named == "original_sample" else PredictionType(named)
    except ValueError as error:
        raise _not_understood(scheduler) from error


def _level_of_sigma(scheduler: Any, sigma: float, kind: PredictionType) -> tuple[float, float]:
    """Returns alpha and sigma of a sample, whose scale depends on the family of the scheduler."""
    if kind is PredictionType.FLOW or scheduler.config.get("use_flow_sigmas"):
        return 1.0 - sigma, sigma
    if "solver_order" in scheduler.config or "predictor_order" in scheduler.config:
        alpha = (1.0 + sigma**2) ** -0.5  # DPM-Solver, UniPC, DEIS, SA: variance-preserving
        return alpha, alpha * sigma
    return 1.0, sigma  # Euler, Heun, LMS and others: variance-exploding


def _sigma(scheduler: Any, timestep: Any) -> float:
    """Returns the noise level of the model's input; in the second half of a step it may lie in between."""
    index = schedule_index(scheduler, timestep)
    if not getattr(scheduler, "state_in_first_order", True):
        between = getattr(scheduler, "mid_point_sigma", None)
        if between is not None:
            return float(between)
        if hasattr(scheduler, "sigmas_interpol"):
            return float(scheduler.sigmas_interpol[index])
    return float(scheduler.sigmas[index])


def _not_understood(scheduler: Any) -> ModelUnavailable:
    return ModelUnavailable(
        f"{type(scheduler).__name__} predicts in a way that cannot be looked into",
        allowed=["DDIM", "DDPM", "DPM-Solver", "UniPC", "Euler", "Heun", "LCM", "PNDM", "flow matching"],
    )
