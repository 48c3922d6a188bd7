"""Loading of diffusers pipelines: bundled, from a folder, from a single file or by a hub id."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from service.core.errors import ModelUnavailable
from service.core.model_limits import ModelLimits
from service.core.params import Method, RegionSettings
from service.diffusion.memory_budget import BATCH_BYTES
from service.diffusion.model import MAX_TRAIN_STEPS, DiffusionModel, SamplingDefaults
from service.diffusion.pipeline_limits import limits_of
from service.diffusion.precision import channels_last, in_bfloat16, wants_bfloat16
from service.diffusion.trial import try_out
from service.runtime.settings import BUNDLED

GENERATOR_FOLDER, INPAINTER_FOLDER = "generator", "inpainter"
DEFAULTS_FILE = "anatomend.json"
SINGLE_FILE_SUFFIXES = (".safetensors", ".ckpt")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Fewer steps than the library's own defaults: with current samplers, more steps make no visible difference.
FAMILY_STEPS = {"StableDiffusionPipeline": 30, "StableDiffusionXLPipeline": 30}
# Keys: prefixes of the library's names for single files; all others are Stable Diffusion 1 or 2.
FAMILIES = {
    "xl_": "StableDiffusionXLPipeline",
    "playground": "StableDiffusionXLPipeline",
    "sd3": "StableDiffusion3Pipeline",
    "flux": "FluxPipeline",
}
VARIANTS = (None, "fp16", "bf16")
"""Variants of a model's weights, by the suffix of their files; the first that exists is used."""
HASHED_WHOLE_BYTES = 32 * 2**20
HASHED_END_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a model: a folder or file (``path``), or a hub id (``path`` is None)."""

    name: str
    path: Path | None


def resolve_source(model: str, models_dir: Path, bundled: str = GENERATOR_FOLDER) -> Source:
    """Resolves the setting ``model``; ``bundled`` is the bundled model's folder in ``models_dir``.

    Raises:
        ModelUnavailable: it is not a folder with a pipeline, a checkpoint file or a hub id.
    """
    if model == BUNDLED:
        return Source(BUNDLED, _pipeline_folder(models_dir / bundled))
    path = Path(model).expanduser()
    if path.is_dir():
        return Source(model, _pipeline_folder(path))
    if path.is_file():
        if path.suffix not in SINGLE_FILE_SUFFIXES:
            raise ModelUnavailable(f"{model} is no checkpoint", allowed=list(SINGLE_FILE_SUFFIXES))
        return Source(model, path)
    if path.suffix not in SINGLE_FILE_SUFFIXES and HUB_ID.fullmatch(model):
        return Source(model, None)
    raise ModelUnavailable(
        f"no model {model!r}: tried it as a folder and as a file, and it is no hub id (owner/name)",
        allowed=[BUNDLED, "a diffusers folder", "a .safetensors or .ckpt file", "owner/name on the hub"],
    )


def load_diffusion(
    model: str,
    models_dir: Path,
    device: str,
    precision: str = "float32",
    bundled: str = GENERATOR_FOLDER,
    batch_bytes: int = BATCH_BYTES,
    redraws: bool = True,
) -> DiffusionModel:
    """Loads the pipelines for a setting (see ``service.runtime.settings.Settings.model``) and tests them.

    They run in half precision on an accelerator and in float32 on the CPU, where a UNet may run in bfloat16.
    The safety checker is not loaded.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` (already resolved, not ``auto``).
        precision: see ``service.runtime.settings.Settings.precision``.
        bundled: see ``resolve_source``.
        batch_bytes: see ``DiffusionModel``.
        redraws: True if it also redraws.

    Raises:
        ModelUnavailable: the model cannot be found or loaded, its family cannot inpaint, or its test run
            fails.
    """
    source = resolve_source(model, models_dir, bundled)
    from diffusers import AutoPipelineForInpainting
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    is_bfloat16 = wants_bfloat16(precision, device)
    try:
        text_to_image = _load_pipeline(source, device)
        if device == "cpu":
            channels_last(getattr(text_to_image, "unet", None), text_to_image.vae)
        if is_bfloat16 and getattr(text_to_image, "unet", None) is not None:
            in_bfloat16(text_to_image.unet)
        inpainting = AutoPipelineForInpainting.from_pipe(text_to_image)
    except Exception as error:  # the library raises whatever its parts raise
        tried = source.path or f"the hub's {source.name}, and its cache"
        raise ModelUnavailable(f"model {source.name!r} cannot be loaded, tried {tried}: {error}") from error
    for pipeline in (text_to_image, inpainting):
        pipeline.set_progress_bar_config(disable=True)
    loaded = DiffusionModel(
        text_to_image=text_to_image,
        inpainting=inpainting,
        model_id=_model_id(source),
        source=source.name,
        defaults=_defaults(text_to_image, source),
        previews_dir=models_dir,
        batch_bytes=batch_bytes,
    )
    try_out(loaded, redraws)
    return loaded


def _pipeline_folder(path: Path) -> Path:
    if not (path / "model_index.json").is_file():
        raise ModelUnavailable(f"no diffusers pipeline in {path}: model_index.json is missing")
    return path


def _load_pipeline(source: Source, device: str) -> Any:
    from diffusers import AutoPipelineForText2Image, DiffusionPipeline

    if source.path is not None and source.path.is_file():
        pipeline = _from_single_file(source.path, torch.float32 if device == "cpu" else torch.float16)
    else:
        place = str(source.path or source.name)
        config = DiffusionPipeline.load_config(place)
        # Transformers were trained in bfloat16 and overflow in float16; UNets were trained in float16.
        half = torch.bfloat16 if "transformer" in config else torch.float16
        pipeline = _any_variant(
            AutoPipelineForText2Image,
            place,
            dtype=torch.float32 if device == "cpu" else half,
            **_left_out(config),
        )
    return pipeline.to(device)


def _left_out(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the components not to load, as arguments: the checker, and those that the folder lacks.

    The library loads some of the latter by default, such as SD3's T5.
    """
    missing: dict[str, Any] = {
        name: None for name, kind in config.items() if isinstance(kind, (list, tuple)) and kind[0] is None
    }
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    return missing | (unchecked if "safety_checker" in config else {})


def _any_variant(loader: Any, place: str, **how: Any) -> Any:
    """Loads weights with plain names, else those of the first variant that exists.

    Raises:
        OSError, ValueError: as the library raised for plain names, if there are no weights.
    """
    failures: list[Exception] = []
    for variant in VARIANTS:
        try:
            return loader.from_pretrained(place, variant=variant, **how)
        except (OSError, ValueError) as error:
            failures.append(error)
    raise failures[0]


def _from_single_file(path: Path, dtype: torch.dtype) -> Any:
    import diffusers
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type, load_single_file_checkpoint

    kind = infer_diffusers_model_type(load_single_file_checkpoint(str(path)))
    name = next((cls for start, cls in FAMILIES.items() if kind.startswith(start)), "StableDiffusionPipeline")
    return getattr(diffusers, name).from_single_file(str(path), dtype=dtype)


def _defaults(pipeline: Any, source: Source) -> SamplingDefaults:
    """Returns the defaults of the model folder's own file, else of the family, else of the library."""
    library = inspect.signature(pipeline.__call__).parameters
    steps = FAMILY_STEPS.get(type(pipeline).__name__, library["num_inference_steps"].default)
    side = native_side_px(pipeline)
    limits = limits_of(pipeline)
    steps = min(steps, limits.max_steps or steps)
    values: dict[str, Any] = {
        "num_inference_steps": steps,
        "guidance_scale": library["guidance_scale"].default,
        "width": side,
        "height": side,
    }
    stored = source.path / DEFAULTS_FILE if source.path is not None and source.path.is_dir() else None
    if stored is not None and stored.is_file():
        try:
            values |= json.loads(stored.read_text("utf-8"))
            values["per_class"] = _per_class(values.get("per_class", {}))
            defaults = SamplingDefaults(**values)
            _check_defaults(defaults, limits)
            return defaults
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelUnavailable(f"{stored} cannot be read: {error}") from error
    return SamplingDefaults(**values)


def _check_defaults(defaults: SamplingDefaults, limits: ModelLimits) -> None:
    steps, step = defaults.num_inference_steps, limits.size_step_px
    most = limits.max_steps or MAX_TRAIN_STEPS
    if type(steps) is not int or not limits.min_steps <= steps <= most:
        raise ValueError(f"num_inference_steps is {steps!r}, allowed is {limits.min_steps} to {most}")
    if type(defaults.guidance_scale) not in (int, float):
        raise ValueError(f"guidance_scale is {defaults.guidance_scale!r}, no number")
    for name, side in (("width", defaults.width), ("height", defaults.height)):
        if type(side) is not int or side < step or side % step:
            raise ValueError(f"{name} is {side!r}, allowed is a multiple of {step}")


def _per_class(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, RegionSettings]:
    """Parses settings by class or part from JSON."""
    made = {}
    for name, settings in stored.items():
        values: dict[str, Any] = dict(settings)
        if "strengths" in values:
            values["strengths"] = tuple(float(strength) for strength in values["strengths"])
            if not all(0 < strength <= 1 for strength in values["strengths"]):
                raise ValueError(f"strengths of {name} are {values['strengths']}, allowed is above 0 to 1")
        if "methods" in values:
            values["methods"] = tuple(Method(method) for method in values["methods"])
        made[name] = RegionSettings(**values)
    return made


def native_side_px(pipeline: Any) -> int:
    """Returns the side in pixels of the square pictures that the model was trained on."""
    backbone = getattr(pipeline, "unet", None) or pipeline.transformer
    cells = backbone.config.get("sample_size") or pipeline.default_sample_size
    return int((cells if isinstance(cells, int) else min(cells)) * pipeline.vae_scale_factor)


def _model_id(source: Source) -> str:
    """Returns name and hash of a model. Only the two ends of very large files are hashed, to start fast.

    Markdown files are ignored: a change of the model's card does not change its id.
    """
    if source.path is None:
        return source.name
    digest = hashlib.sha256()
    files = [source.path] if source.path.is_file() else sorted(source.path.rglob("*"))
    for path in (p for p in files if p.is_file() and p.suffix != ".md"):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(source.path.parent)} {size}\n".encode())
        with path.open("rb") as stream:
            if size <= HASHED_WHOLE_BYTES:
                digest.update(stream.read())
            else:
                digest.update(stream.read(HASHED_END_BYTES))
                stream.seek(-HASHED_END_BYTES, os.SEEK_END)
                digest.update(stream.read())
    return f"{source.path.resolve().name}@{digest.hexdigest()[:12]}"
