"""What a request may ask for. Every refusal has a stable code and says what is allowed."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from detectors.masks import PAINTED
from detectors.protocols import part_of
from service.core.class_names import repairable_classes, wanted_classes
from service.core.errors import InvalidRequest
from service.core.model_limits import Limits, ModelLimits
from service.core.params import Choice, Method, RegionSettings
from service.core.prompt_syntax import parse_prompt
from service.core.report import GenerateRequest, RepairParams, RepairRequest
from service.core.runs import WatchParams

MAX_PROMPT_CHARS = 2000
MAX_SEED = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""
SIZE_STEP_PX = ModelLimits().size_step_px
MAX_IMAGES, MAX_STEPS, MAX_GUIDANCE = 8, 200, 50.0
MAX_BEST_OF, MAX_RESTARTS, MAX_FRACTIONS = 8, 8, 8
MAX_COPIES = 8
MAX_REGIONS, MAX_STRENGTHS, MAX_SEEDS_PER_ATTEMPT, MAX_FEATHER_PX = 64, 8, 16, 64


def check_generate(
    request: GenerateRequest, class_names: Collection[str], max_side_px: int, limits: Limits | None = None
) -> None:
    """Checks a wish for pictures.

    Args:
        request: the wish.
        class_names: the detector's.
        max_side_px: largest width or height.
        limits: what the loaded models take; the usual if None.

    Raises:
        InvalidRequest: with a code for the first thing that is wrong.
    """
    limits = limits or Limits()
    _check_words(request.prompt, request.negative_prompt)
    if not parse_prompt(request.prompt).text.strip():
        raise InvalidRequest(
            "the prompt is empty", code="empty_prompt", allowed=f"1 to {MAX_PROMPT_CHARS} characters"
        )
    for name, side in (("width", request.width), ("height", request.height)):
        if side is not None:
            _check_side(name, side, max_side_px, limits.generator.size_step_px)
    _check_range("num_images", request.num_images, 1, MAX_IMAGES)
    _check_sampling(request.num_inference_steps, request.guidance_scale, limits.generator)
    _check_range("best_of", request.best_of, 1, MAX_BEST_OF)
    if request.watch is not None:
        check_watch(request.watch)
    # The last seed that may be told must be one that can be asked for.
    _check_seed(request.seed, running=request.num_images * request.seeds_per_image)
    if request.repair is not None:
        check_params(request.repair, class_names, limits.redraws)


def check_watch(watch: WatchParams) -> None:
    """Checks how to watch.

    Raises:
        InvalidRequest: with a code for the first thing that is wrong.
    """
    _check_range("max_restarts", watch.max_restarts, 0, MAX_RESTARTS)
    fractions = watch.fractions
    if fractions is None:
        return
    if not 1 <= len(fractions) <= MAX_FRACTIONS:
        raise InvalidRequest(
            f"{len(fractions)} fractions",
            code="fractions_out_of_range",
            allowed=f"1 to {MAX_FRACTIONS} of them",
        )
    for fraction in fractions:
        if not 0 < fraction < 1:
            raise InvalidRequest(
                f"a fraction is {fraction}",
                code="fraction_out_of_range",
                allowed="between 0 and 1, both excluded",
            )


def check_repair(request: RepairRequest, class_names: Collection[str], limits: Limits | None = None) -> None:
    """Checks a picture to repair, with its mask and parameters.

    Args:
        request: the wish.
        class_names: the detector's.
        limits: what the loaded models take; the usual if None.

    Raises:
        InvalidRequest: with a code for the first thing that is wrong.
    """
    check_image(request.image)
    _check_words(request.prompt, request.negative_prompt)
    _check_seed(request.seed)
    check_params(request.params, class_names, (limits or Limits()).redraws)
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
        raise InvalidRequest(
            f"conf is {conf}", code="conf_out_of_range", allowed="between 0 and 1, both excluded"
        )


def check_params(
    params: RepairParams, class_names: Collection[str], limits: ModelLimits | None = None
) -> None:
    """Checks how to repair.

    Args:
        params: the wish.
        class_names: the detector's.
        limits: what the model that redraws takes; the usual if None.

    Raises:
        InvalidRequest: with a code for the first thing that is wrong.
    """
    limits = limits or ModelLimits()
    if params.conf is not None:
        check_conf(params.conf)
    for name in params.classes:
        if name not in class_names:
            raise InvalidRequest(f"no class {name!r}", code="unknown_class", allowed=list(class_names))
    _check_repairable(params, class_names)
    _check_range("max_regions", params.max_regions, 1, MAX_REGIONS)
    _check_seeds(params.seeds_per_attempt)
    _check_range("grow", params.grow, 0, 1)
    _check_range("feather_px", params.feather_px, 0, MAX_FEATHER_PX)
    _check_range("mask_least_share", params.mask.least_share, 0, 1)
    _check_above_zero("merge_iou", params.merge_iou)
    _check_above_zero("mask_threshold", params.mask.threshold)
    _check_range("copies", params.nudge.copies, 1, MAX_COPIES)
    _check_choice(params.choice)
    _check_methods(params.methods)
    _check_strengths(params.strengths, limits)
    _check_sampling(params.num_inference_steps, params.guidance_scale, limits)
    parts = {"mask", *class_names, *(part_of(name) for name in class_names)}
    for name in params.per_class:
        if name not in parts:
            raise InvalidRequest(f"no class {name!r}", code="unknown_class", allowed=sorted(parts))
    for number in params.per_region:
        _check_range("region", number, 0, MAX_REGIONS - 1)
    _check_range("in_order", len(params.in_order), 0, MAX_REGIONS)
    for settings in params.special:
        _check_settings(settings, limits)


def _check_repairable(params: RepairParams, class_names: Collection[str]) -> None:
    """Refuses a class that is named and that nothing would ever be repaired of."""
    wanted = {part_of(name) for name in wanted_classes(class_names, params)}
    for name in params.classes:
        if part_of(name) not in wanted:
            raise InvalidRequest(
                f"{name!r} is never repaired under the policy {params.policy.value!r}",
                code="unrepairable_class",
                allowed=repairable_classes(class_names, params),
            )


def _check_choice(choice: Choice) -> None:
    _check_above_zero("max_conf", choice.max_conf)
    _check_range("min_area", choice.min_area, 0, 1)
    _check_range("max_area", choice.max_area, choice.min_area, 1)
    for name, numbers in (("only", choice.only), ("skip", choice.skip)):
        for number in numbers:
            _check_range(name, number, 0, MAX_REGIONS - 1)


def _check_settings(settings: RegionSettings, limits: ModelLimits) -> None:
    if settings.methods is not None:
        _check_methods(settings.methods)
    _check_strengths(settings.strengths, limits)
    _check_seeds(settings.seeds_per_attempt)
    _check_sampling(settings.num_inference_steps, settings.guidance_scale, limits)
    _check_words(settings.prompt or "", settings.negative_prompt or "")


def _check_sampling(
    num_inference_steps: int | None, guidance_scale: float | None, limits: ModelLimits
) -> None:
    if num_inference_steps is not None:
        most = min(MAX_STEPS, limits.max_steps or MAX_STEPS)
        _check_range("num_inference_steps", num_inference_steps, limits.min_steps, most)
    if guidance_scale is not None:
        _check_range("guidance_scale", guidance_scale, 0, MAX_GUIDANCE)


def _check_methods(methods: Collection[Method]) -> None:
    if not 1 <= len(methods) <= len(Method):
        raise InvalidRequest(
            f"{len(methods)} methods", code="methods_out_of_range", allowed=[m.value for m in Method]
        )


def _check_seeds(seeds_per_attempt: int | None) -> None:
    if seeds_per_attempt is not None:
        _check_range("seeds_per_attempt", seeds_per_attempt, 1, MAX_SEEDS_PER_ATTEMPT)


def _check_strengths(strengths: Collection[float] | None, limits: ModelLimits) -> None:
    if strengths is None:
        return
    if not 1 <= len(strengths) <= MAX_STRENGTHS:
        raise InvalidRequest(
            f"{len(strengths)} strengths",
            code="strengths_out_of_range",
            allowed=f"1 to {MAX_STRENGTHS} of them",
        )
    for strength in strengths:
        if not 0 < strength <= 1:
            raise InvalidRequest(
                f"a strength is {strength}", code="strength_out_of_range", allowed="above 0, at most 1"
            )
        if strength < limits.least_strength:
            raise InvalidRequest(
                f"a strength in strengths is {strength}, less than one step of what redraws",
                code="strength_out_of_range",
                allowed=[limits.least_strength, 1],
            )


def _check_words(prompt: str, negative_prompt: str) -> None:
    for name, words in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        if len(words) > MAX_PROMPT_CHARS:
            raise InvalidRequest(
                f"the {name} has {len(words)} characters",
                code=f"{name}_too_long",
                allowed=f"at most {MAX_PROMPT_CHARS} characters",
            )
        parse_prompt(words)  # refuses weights that cannot be used


def _check_seed(seed: int | None, running: int = 1) -> None:
    """Refuses a first seed from which so many running ones are not all in the range."""
    if seed is not None:
        _check_range("seed", seed, 0, MAX_SEED - max(running - 1, 0))


def _check_side(name: str, side: int, max_side_px: int, step_px: int) -> None:
    if side % step_px:
        raise InvalidRequest(
            f"{name} is {side}", code=f"size_not_multiple_of_{step_px}", allowed=f"a multiple of {step_px}"
        )
    if side > max_side_px:
        raise InvalidRequest(f"{name} is {side}", code="size_too_large", allowed=f"at most {max_side_px}")
    if side < step_px:
        raise InvalidRequest(f"{name} is {side}", code="size_too_small", allowed=f"at least {step_px}")


def _check_above_zero(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise InvalidRequest(f"{name} is {value}", code=f"{name}_out_of_range", allowed="above 0, at most 1")


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # written so that NaN is refused too
        raise InvalidRequest(f"{name} is {value}", code=f"{name}_out_of_range", allowed=[least, most])
