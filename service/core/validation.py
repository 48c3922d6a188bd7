"""Checks of requests against the loaded models, beyond the records' own limits; run once, on arrival."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from detectors.body_parts import part_of
from detectors.detections import PAINTED
from service.core.class_names import repairable_classes, wanted_classes
from service.core.constraints import out_of_range
from service.core.errors import InvalidRequest
from service.core.limits import MAX_PROMPT_CHARS, MAX_SEED, MAX_STEPS
from service.core.model_limits import EngineLimits, ModelLimits
from service.core.params import RepairParams
from service.core.prompt_syntax import parse_prompt
from service.core.regions import MASK_CLASS
from service.core.requests import GenerateRequest, RepairRequest


def check_generate(
    request: GenerateRequest,
    class_names: Collection[str],
    max_side_px: int,
    limits: EngineLimits | None = None,
) -> None:
    """Checks a request to generate pictures.

    Args:
        request: the request.
        class_names: class names of the detector.
        max_side_px: largest width or height in pixels.
        limits: limits of the loaded models; the usual ones if None.

    Raises:
        InvalidRequest: with a code for the first error found.
    """
    limits = limits or EngineLimits()
    _check_prompts(request.prompt, request.negative_prompt)
    if not parse_prompt(request.prompt).text.strip():
        raise InvalidRequest(
            "the prompt is empty", code="empty_prompt", allowed=f"1 to {MAX_PROMPT_CHARS} characters"
        )
    for name, side in (("width", request.width), ("height", request.height)):
        if side is not None:
            _check_side(name, side, max_side_px, limits.generator.size_step_px)
    _check_steps(request.num_inference_steps, limits.generator)
    # The last seed in the report must be one that a request can ask for.
    running = request.num_images * request.seeds_per_image
    if request.seed is not None and request.seed > MAX_SEED - max(running - 1, 0):
        raise out_of_range("seed", request.seed, [0, MAX_SEED - max(running - 1, 0)])
    if request.repair is not None:
        check_params(request.repair, class_names, limits.redraws)


def check_repair(
    request: RepairRequest, class_names: Collection[str], limits: EngineLimits | None = None
) -> None:
    """Checks a request to repair a picture, with its mask and parameters.

    Args:
        request: the request.
        class_names: class names of the detector.
        limits: limits of the loaded models; the usual ones if None.

    Raises:
        InvalidRequest: with a code for the first error found.
    """
    check_image(request.image)
    _check_prompts(request.prompt, request.negative_prompt)
    check_params(request.params, class_names, (limits or EngineLimits()).redraws)
    size_hw, mask = request.image.shape[:2], request.mask
    if mask is None:
        return
    if mask.shape != size_hw:
        raise InvalidRequest(
            f"the mask is {mask.shape[::-1]} pixels and the image {size_hw[::-1]} (width, height)",
            code="mask_size_mismatch",
            allowed={"width": size_hw[1], "height": size_hw[0]},
        )
    if not (mask.dtype == np.float32 and np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
        raise InvalidRequest("the mask is not float32 in [0, 1]", code="bad_mask", allowed=[0.0, 1.0])
    if mask.max() < PAINTED:
        raise InvalidRequest(
            f"nothing is painted in the mask: its lightest value is {round(float(mask.max()) * 255)} of 255",
            code="nothing_painted",
            allowed="white where to redraw: opaque, and 128 to 255",
        )


def check_image(image: np.ndarray) -> None:
    """Checks that an array is a picture.

    Raises:
        InvalidRequest: code ``bad_image``.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InvalidRequest(
            f"no picture: {image.dtype} {image.shape}", code="bad_image", allowed="uint8 RGB (H, W, 3)"
        )


def check_conf(conf: float) -> None:
    """Checks a score threshold.

    Raises:
        InvalidRequest: code ``conf_out_of_range``.
    """
    if not 0 < conf < 1:
        raise out_of_range("conf", conf, "between 0 and 1, both excluded")


def check_params(
    params: RepairParams, class_names: Collection[str], limits: ModelLimits | None = None
) -> None:
    """Checks repair parameters against the detector's classes and the limits of the model that redraws.

    Raises:
        InvalidRequest: with a code for the first error found.
    """
    limits = limits or ModelLimits()
    for name in params.classes:
        if name not in class_names:
            raise InvalidRequest(f"no class {name!r}", code="unknown_class", allowed=list(class_names))
    _check_repairable(params, class_names)
    parts = {MASK_CLASS, *class_names, *(part_of(name) for name in class_names)}
    for name in params.per_class:
        if name not in parts:
            raise InvalidRequest(f"no class {name!r}", code="unknown_class", allowed=sorted(parts))
    _check_steps(params.num_inference_steps, limits)
    _check_strengths(params.strengths or (), limits)
    for settings in params.settings:
        _check_steps(settings.num_inference_steps, limits)
        _check_strengths(settings.strengths or (), limits)
        _check_prompts(settings.prompt or "", settings.negative_prompt or "")


def _check_repairable(params: RepairParams, class_names: Collection[str]) -> None:
    """Refuses a named class of which nothing would ever be repaired."""
    wanted = {part_of(name) for name in wanted_classes(class_names, params)}
    for name in params.classes:
        if part_of(name) not in wanted:
            raise InvalidRequest(
                f"{name!r} is never repaired under the policy {params.policy.value!r}",
                code="unrepairable_class",
                allowed=repairable_classes(class_names, params),
            )


def _check_steps(num_inference_steps: int | None, limits: ModelLimits) -> None:
    most = min(MAX_STEPS, limits.max_steps or MAX_STEPS)
    if num_inference_steps is not None and not limits.min_steps <= num_inference_steps <= most:
        raise out_of_range("num_inference_steps", num_inference_steps, [limits.min_steps, most])


def _check_strengths(strengths: Collection[float], limits: ModelLimits) -> None:
    for strength in strengths:
        if strength < limits.least_strength:
            raise InvalidRequest(
                f"a strength in strengths is {strength}, less than one step of what redraws",
                code="strength_out_of_range",
                allowed=[limits.least_strength, 1],
            )


def _check_prompts(*prompts: str) -> None:
    for prompt in prompts:
        parse_prompt(prompt)  # refuses weights that cannot be used


def _check_side(name: str, side: int, max_side_px: int, step_px: int) -> None:
    if side % step_px:
        raise InvalidRequest(
            f"{name} is {side}", code=f"size_not_multiple_of_{step_px}", allowed=f"a multiple of {step_px}"
        )
    if side > max_side_px:
        raise InvalidRequest(f"{name} is {side}", code="size_too_large", allowed=f"at most {max_side_px}")
    if side < step_px:
        raise InvalidRequest(f"{name} is {side}", code="size_too_small", allowed=f"at least {step_px}")
