"""Counters of a picture's cost in the denoiser, the decoder and the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detectors.detections import Detections, Image
from service.diffusion.model import DiffusionModel


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a picture, or of several.

    Attributes:
        seconds: on the clock.
        denoised: latents that went through the denoiser, counted again at each step; guidance makes two.
        decoded: latents that were decoded, at full size or smaller.
        detected: pictures that the detector looked for parts in.
    """

    seconds: float
    denoised: int
    decoded: int
    detected: int


def sum_of(costs: Sequence[Cost]) -> Cost:
    """Returns the sum of the costs."""
    return Cost(
        sum(cost.seconds for cost in costs),
        sum(cost.denoised for cost in costs),
        sum(cost.decoded for cost in costs),
        sum(cost.detected for cost in costs),
    )


class Meter:
    """Counts the work of models and of a detector; a model that is passed twice is counted once.

    Attributes:
        detector: the detector with a counter; to be used in its place.
    """

    def __init__(self, models: Sequence[DiffusionModel], detector: Any) -> None:
        self._denoised = self._decoded = 0
        self.detector = _Counted(detector)
        for model in {id(model): model for model in models}.values():
            parts = model.components
            denoiser = parts.get("unet") or parts["transformer"]
            denoiser.register_forward_pre_hook(self._on_denoise, with_kwargs=True)
            parts["vae"].decoder.register_forward_pre_hook(self._on_decode, with_kwargs=True)

    def reset(self) -> None:
        """Sets all counts to 0."""
        self._denoised = self._decoded = self.detector.shown = 0

    def cost(self, seconds: float) -> Cost:
        """Returns the counts since the last reset, with ``seconds``."""
        return Cost(seconds, self._denoised, self._decoded, self.detector.shown)

    def _on_denoise(self, _module: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self._denoised += len(_first(args, kwargs))

    def _on_decode(self, _module: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self._decoded += len(_first(args, kwargs))


class _Counted:
    """A detector that counts its pictures."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.shown = 0

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """Detects as the wrapped detector does, and counts the pictures."""
        self.shown += len(images)
        found: list[Detections] = self._detector.detect(images, conf)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)


def _first(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Returns the latents, passed by position or by name."""
    return args[0] if args else kwargs.get("sample", kwargs.get("hidden_states"))
