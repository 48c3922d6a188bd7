"""The models that the benches measure: those of the service's settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detectors.closer import CloserDetector
from detectors.protocols import Critic, Detector
from service.diffusion.decision import PreviewThresholds
from service.diffusion.sampler import DiffusionModel
from service.engine import Engine
from service.loading import (
    choose_device,
    load_critic,
    load_detector,
    load_generator,
    load_inpainter,
    load_own_thresholds,
    load_preview_thresholds,
    load_upload_thresholds,
)
from service.looking import Looker
from service.own_thresholds import ANYBODY, OwnThresholds, own_measure
from service.settings import read_settings


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """One of each role; what is put around them is each bench's own."""

    generator: DiffusionModel
    inpainter: DiffusionModel | None
    detector: CloserDetector
    critic: Critic | None
    preview_thresholds: PreviewThresholds | None
    own_thresholds: OwnThresholds | None
    upload_thresholds: OwnThresholds | None = None

    @property
    def redraws(self) -> DiffusionModel:
        """What redraws: the inpainter, or the generator if there is none."""
        return self.inpainter or self.generator

    def engine(self, detector: Detector | None = None) -> Engine:
        """The service's engine on these models; with ``detector`` in the place of theirs, if given."""
        return Engine(
            self.generator,
            detector or self.detector,
            self.critic,
            inpainter=self.inpainter,
            preview_thresholds=self.preview_thresholds,
            own_thresholds=self.own_thresholds,
            upload_thresholds=self.upload_thresholds,
        )

    def looker(self, own: bool, detector: Detector | None = None) -> Looker:
        """What finds, as the service's engine has it.

        Args:
            own: whether it looks at the generator's own pictures or at uploads.
            detector: in the place of theirs, if given.
        """
        fitted = self.own_thresholds if own else self.upload_thresholds
        made_by = self.generator.model_id if own else ANYBODY
        measure = own_measure(fitted, self.detector, self.critic, made_by)
        return Looker(detector or self.detector, self.critic, self.redraws.native_px, measure)


def step_inputs(model: DiffusionModel) -> tuple[Tensor, Tensor]:
    """Noisy latents and empty words for one step with guidance, each twice, at the model's own size.

    The numbers are of no matter: what a step costs does not depend on them.
    """
    config, defaults = model.components["unet"].config, model.defaults
    cells = defaults.height // model.cell_px, defaults.width // model.cell_px
    latents = torch.randn(1, config.in_channels, *cells, generator=torch.Generator().manual_seed(0))
    text = torch.zeros(2, model.components["tokenizer"].model_max_length, config.cross_attention_dim)
    return torch.cat([latents] * 2), text


def load_models() -> Models:
    """Loads what ``ANATOMEND_MODEL``, ``_REPAIR_MODEL``, ``_DETECTOR`` and ``_CRITIC`` name."""
    settings = read_settings()
    device = choose_device(settings.device)
    return Models(
        load_generator(settings, device),
        load_inpainter(settings, device),
        load_detector(settings, device),
        load_critic(settings, device),
        load_preview_thresholds(settings),
        load_own_thresholds(settings),
        load_upload_thresholds(settings),
    )
