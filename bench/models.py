"""The models that the benches measure: those of the service's settings."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.protocols import Critic
from detectors.yolo import YoloDetector
from service.diffusion.sampler import DiffusionModel
from service.loading import choose_device, load_critic, load_detector, load_generator
from service.settings import read_settings


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """One of each role; what is put around them is each bench's own."""

    generator: DiffusionModel
    detector: YoloDetector
    critic: Critic | None


def load_models() -> Models:
    """Loads what ``ANATOMEND_MODEL``, ``ANATOMEND_DETECTOR`` and ``ANATOMEND_CRITIC`` name."""
    settings = read_settings()
    device = choose_device(settings.device)
    return Models(
        load_generator(settings, device),
        load_detector(settings, device),
        load_critic(settings, device),
    )
