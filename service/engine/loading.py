"""Choice of the device, and loading of the models that the settings name."""

from __future__ import annotations

from pathlib import Path

import torch

from detectors.closer import CloserDetector
from detectors.critic import CropCritic
from detectors.protocols import ModelLoadError
from detectors.yolo import YoloDetector
from service.core.errors import InvalidSettings, ModelUnavailable
from service.diffusion.loading import GENERATOR_FOLDER, INPAINTER_FOLDER, load_diffusion
from service.diffusion.model import DiffusionModel
from service.generation.abort_rules import THRESHOLDS_FILE, PreviewThresholds
from service.repair.calibration import (
    GENERATOR_CALIBRATION_FILE,
    UPLOAD_CALIBRATION_FILE,
    GeneratorCalibration,
)
from service.runtime.settings import AUTO, BUNDLED, Settings

NO_CRITIC = "none"
BYTES_PER_MB = 10**6


def choose_device(device: str) -> str:
    """Returns the device to run on; ``auto`` takes an accelerator if there is one.

    Raises:
        InvalidSettings: torch has no such device.
    """
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidSettings(f"ANATOMEND_DEVICE: {device!r} cannot be used: {error}") from error
    return device


def load_generator(settings: Settings, device: str) -> DiffusionModel:
    """Loads the generator that the settings name.

    Raises:
        ModelUnavailable: it cannot be loaded; the message names it.
    """
    return _load(settings.model, settings, device, GENERATOR_FOLDER, redraws=not repair_model_of(settings))


def load_inpainter(settings: Settings, device: str) -> DiffusionModel | None:
    """Loads the inpainter, which redraws in place of the generator; None if the generator redraws.

    Raises:
        ModelUnavailable: it cannot be loaded; the message names it.
    """
    model = repair_model_of(settings)
    if not model:
        return None
    return _load(model, settings, device, INPAINTER_FOLDER, redraws=True)


def _load(model: str, settings: Settings, device: str, bundled: str, *, redraws: bool) -> DiffusionModel:
    return load_diffusion(
        model,
        settings.models_dir,
        device,
        settings.precision,
        bundled,
        settings.batch_memory_mb * BYTES_PER_MB,
        redraws,
    )


def repair_model_of(settings: Settings) -> str:
    """Resolves the setting of the inpainter, ``auto`` included; empty if the generator redraws."""
    if settings.repair_model != AUTO:
        return settings.repair_model
    has_inpainter = settings.model == BUNDLED and (settings.models_dir / INPAINTER_FOLDER).is_dir()
    return BUNDLED if has_inpainter else ""


def detector_path(settings: Settings) -> Path:
    """Returns the path of the detector's file."""
    bundled = settings.models_dir / "detector" / "detector.pt"
    return bundled if settings.detector == BUNDLED else Path(settings.detector).expanduser()


def load_detector(settings: Settings, device: str) -> CloserDetector:
    """Loads the detector that the settings name; it looks twice where people are small.

    Raises:
        ModelUnavailable: it cannot be loaded; the message names the file.
    """
    path = detector_path(settings)
    try:
        return CloserDetector(YoloDetector.load(path, device))
    except ModelLoadError as error:
        raise ModelUnavailable(f"the detector {settings.detector!r} cannot be loaded: {error}") from error


def load_preview_thresholds(settings: Settings) -> PreviewThresholds | None:
    """Loads the watch's thresholds from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: the file exists and cannot be read.
    """
    path = detector_path(settings).parent / THRESHOLDS_FILE
    return PreviewThresholds.load(path) if path.is_file() else None


def load_generator_calibration(settings: Settings) -> GeneratorCalibration | None:
    """Loads the generator's calibration from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: the file exists and cannot be read.
    """
    return _calibration(settings, GENERATOR_CALIBRATION_FILE)


def load_upload_calibration(settings: Settings) -> GeneratorCalibration | None:
    """Returns the calibration for uploads from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: if the file is there and cannot be read.
    """
    return _calibration(settings, UPLOAD_CALIBRATION_FILE)


def _calibration(settings: Settings, name: str) -> GeneratorCalibration | None:
    path = detector_path(settings).parent / name
    return GeneratorCalibration.load(path) if path.is_file() else None


def load_critic(settings: Settings, device: str) -> CropCritic | None:
    """Loads the critic that the settings name; None if the setting is ``none``.

    Raises:
        ModelUnavailable: it cannot be loaded; the message names the folder.
    """
    if settings.critic == NO_CRITIC:
        return None
    bundled = settings.models_dir / "critic"
    folder = bundled if settings.critic == BUNDLED else Path(settings.critic).expanduser()
    try:
        return CropCritic.load(folder, device)
    except ModelLoadError as error:
        raise ModelUnavailable(f"the critic {settings.critic!r} cannot be loaded: {error}") from error
