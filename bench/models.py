"""The models that the benches measure: those of the service's settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detectors.closer import CloserDetector
from detectors.protocols import Critic, Detector
from service.diffusion.model import DiffusionModel
from service.engine.engine import DiffusionEngine
from service.engine.loading import (
    choose_device,
    load_critic,
    load_detector,
    load_generator,
    load_generator_calibration,
    load_inpainter,
    load_preview_thresholds,
    load_upload_calibration,
)
from service.generation.abort_rules import PreviewThresholds
from service.repair.calibration import ANY_PICTURE, GeneratorCalibration, calibration_for
from service.repair.inspection import Inspector
from service.runtime.settings import read_settings


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """One of each role; what is put around them is each bench's own."""

    generator: DiffusionModel
    inpainter: DiffusionModel | None
    detector: CloserDetector
    critic: Critic | None
    preview_thresholds: PreviewThresholds | None
    generator_calibration: GeneratorCalibration | None
    upload_calibration: GeneratorCalibration | None = None

    @property
    def redraws(self) -> DiffusionModel:
        """The redrawing model: the inpainter, or the generator if there is none."""
        return self.inpainter or self.generator

    def engine(self, detector: Detector | None = None) -> DiffusionEngine:
        """The service's engine on these models; with ``detector`` in the place of theirs, if given."""
        return DiffusionEngine(
            self.generator,
            detector or self.detector,
            self.critic,
            inpainter=self.inpainter,
            preview_thresholds=self.preview_thresholds,
            generator_calibration=self.generator_calibration,
            upload_calibration=self.upload_calibration,
        )

    def inspector(self, own: bool, detector: Detector | None = None) -> Inspector:
        """Returns an inspector like the one of the service's engine.

        Args:
            own: for the generator's own pictures, not for uploads.
            detector: in the place of theirs, if given.
        """
        fitted = self.generator_calibration if own else self.upload_calibration
        made_by = self.generator.model_id if own else ANY_PICTURE
        calibration = calibration_for(fitted, self.detector, self.critic, made_by)
        return Inspector(
            detector=detector or self.detector,
            critic=self.critic,
            native_px=self.redraws.native_px,
            calibration=calibration,
        )


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
        load_generator_calibration(settings),
        load_upload_calibration(settings),
    )
