"""Where to run, and which detector and critic to load, by the settings."""

from __future__ import annotations

from pathlib import Path

import torch

from detectors.closer import CloserDetector
from detectors.critic import CropCritic
from detectors.protocols import ModelLoadError
from detectors.yolo import YoloDetector
from service.diffusion.decision import THRESHOLDS_FILE, PreviewThresholds
from service.diffusion.models import INPAINTER_FOLDER, load_diffusion
from service.diffusion.sampler import DiffusionModel
from service.errors import InvalidSettings, ModelUnavailable
from service.own_thresholds import OWN_THRESHOLDS_FILE, UPLOAD_THRESHOLDS_FILE, OwnThresholds
from service.settings import AUTO, BUNDLED, Settings

NO_CRITIC = "none"


def choose_device(device: str) -> str:
    """The device to run on; ``auto`` takes an accelerator if there is one.

    Raises:
        InvalidSettings: if torch knows no such device.
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
        ModelUnavailable: naming what was tried.
    """
    return load_diffusion(settings.model, settings.models_dir, device, settings.precision)


def load_inpainter(settings: Settings, device: str) -> DiffusionModel | None:
    """Loads what redraws in the generator's place; None if the generator is to do it.

    Raises:
        ModelUnavailable: naming what was tried.
    """
    model = repair_model_of(settings)
    if not model:
        return None
    return load_diffusion(model, settings.models_dir, device, settings.precision, INPAINTER_FOLDER)


def repair_model_of(settings: Settings) -> str:
    """What redraws, with ``auto`` made definite; empty if the generator does."""
    if settings.repair_model != AUTO:
        return settings.repair_model
    has_inpainter = settings.model == BUNDLED and (settings.models_dir / INPAINTER_FOLDER).is_dir()
    return BUNDLED if has_inpainter else ""


def detector_path(settings: Settings) -> Path:
    """The detector's file."""
    bundled = settings.models_dir / "detector" / "detector.pt"
    return bundled if settings.detector == BUNDLED else Path(settings.detector).expanduser()


def load_detector(settings: Settings, device: str) -> CloserDetector:
    """Loads the detector that the settings name; it looks twice where people are small.

    Raises:
        ModelUnavailable: naming the file that was tried.
    """
    path = detector_path(settings)
    try:
        return CloserDetector(YoloDetector.load(path, device))
    except ModelLoadError as error:
        raise ModelUnavailable(f"the detector {settings.detector!r} cannot be loaded: {error}") from error


def load_preview_thresholds(settings: Settings) -> PreviewThresholds | None:
    """What the watch goes by, from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: if the file is there and cannot be read.
    """
    path = detector_path(settings).parent / THRESHOLDS_FILE
    return PreviewThresholds.load(path) if path.is_file() else None


def load_own_thresholds(settings: Settings) -> OwnThresholds | None:
    """What counts in the generator's own pictures, from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: if the file is there and cannot be read.
    """
    return _thresholds(settings, OWN_THRESHOLDS_FILE)


def load_upload_thresholds(settings: Settings) -> OwnThresholds | None:
    """What counts in pictures that are uploaded, from the file beside the detector; None if there is none.

    Raises:
        ModelUnavailable: if the file is there and cannot be read.
    """
    return _thresholds(settings, UPLOAD_THRESHOLDS_FILE)


def _thresholds(settings: Settings, name: str) -> OwnThresholds | None:
    path = detector_path(settings).parent / name
    return OwnThresholds.load(path) if path.is_file() else None


def load_critic(settings: Settings, device: str) -> CropCritic | None:
    """Loads the critic that the settings name; None if they say ``none``.

    Raises:
        ModelUnavailable: naming the folder that was tried.
    """
    if settings.critic == NO_CRITIC:
        return None
    bundled = settings.models_dir / "critic"
    folder = bundled if settings.critic == BUNDLED else Path(settings.critic).expanduser()
    try:
        return CropCritic.load(folder, device)
    except ModelLoadError as error:
        raise ModelUnavailable(f"the critic {settings.critic!r} cannot be loaded: {error}") from error
