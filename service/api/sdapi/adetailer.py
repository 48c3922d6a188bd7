"""The ADetailer block of a request: the options that have a counterpart here, and those that have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ConfigDict, Field, NonNegativeInt

from detectors.body_parts import is_malformed, part_of
from service.api.sdapi.adetailer_prompts import in_order
from service.core.limits import MAX_FEATHER_PX, MAX_PROMPT_CHARS, MAX_REGIONS
from service.core.params import Policy
from service.core.report import Unused
from service.schemas.nulls import NullsLeftOut
from service.schemas.requests import validated

NAME = "ADetailer"
_PARTS = {
    "hand": ("hand",),
    "face": ("face", "head"),
    "person": ("hand", "limb", "person"),
    "body": ("hand", "limb", "person"),
}
"""Body parts by the word for them in a detection model's file name."""
_SWITCHES = (
    "ad_use_inpaint_width_height",
    "ad_use_steps",
    "ad_use_cfg_scale",
    "ad_use_checkpoint",
    "ad_use_vae",
    "ad_use_sampler",
    "ad_use_noise_multiplier",
    "ad_use_clip_skip",
    "ad_restore_face",
)
_NEUTRAL: Mapping[str, Any] = {
    "ad_model_classes": "",
    "ad_mask_min_ratio": 0,
    "ad_mask_max_ratio": 1,
    "ad_mask_filter_method": "Area",
    "ad_dilate_erode": 4,
    "ad_x_offset": 0,
    "ad_y_offset": 0,
    "ad_mask_merge_invert": "None",
    "ad_inpaint_only_masked": True,
    "ad_inpaint_only_masked_padding": 32,
    "ad_controlnet_model": "None",
    **dict.fromkeys(_SWITCHES, False),
}
"""Options without a counterpart here, with their neutral values."""
_NOTHING: tuple[Any, ...] = (None, False, 0, "", "None", [], {})
_UNDER_A_SWITCH = frozenset(
    {
        "ad_inpaint_width",
        "ad_inpaint_height",
        "ad_steps",
        "ad_cfg_scale",
        "ad_checkpoint",
        "ad_vae",
        "ad_sampler",
        "ad_scheduler",
        "ad_noise_multiplier",
        "ad_clip_skip",
        "ad_controlnet_module",
        "ad_controlnet_weight",
        "ad_controlnet_guidance_start",
        "ad_controlnet_guidance_end",
    }
)
"""Options that count only if their switch is on: then the switch is reported as without effect."""


class Unit(NullsLeftOut):
    """One tab of ADetailer."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, protected_namespaces=())

    ad_model: str = Field("None", max_length=200)
    ad_tab_enable: bool = True
    ad_tap_enable: bool = Field(True, description="The same, in the spelling of older versions.")
    ad_prompt: str = Field("", max_length=MAX_PROMPT_CHARS)
    ad_negative_prompt: str = Field("", max_length=MAX_PROMPT_CHARS)
    ad_confidence: float | None = Field(None, ge=0, le=1)
    ad_denoising_strength: float | None = Field(None, ge=0, le=1, description="0: nothing is redrawn.")
    ad_mask_k_largest: NonNegativeInt = 0
    ad_mask_k: NonNegativeInt = 0
    ad_mask_blur: NonNegativeInt | None = None

    @property
    def is_on(self) -> bool:
        """True if the unit has an effect."""
        is_chosen = self.ad_model != "None" and self.ad_tab_enable and self.ad_tap_enable
        return is_chosen and self.ad_denoising_strength != 0


_TOLD = {
    "conf": "ADetailer confidence",
    "strengths": "ADetailer denoising strength",
    "max_regions": "ADetailer mask only top k",
    "feather_px": "ADetailer mask blur",
}
"""The names of the options in a picture's metadata."""
_BLOCK = f"alwayson_scripts.{NAME}"


@dataclass(frozen=True, slots=True)
class Detailer:
    """The parsed ADetailer block.

    Attributes:
        is_on: None for a request without such a block.
        options: values for ``RepairParams``; without ``classes``, no named part is known here.
        used: the options in effect, by ADetailer's names in a picture's metadata.
        unused: the options without effect.
    """

    is_on: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    used: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()

    @property
    def finds_nothing(self) -> bool:
        """True if it is on, but names only parts that are not known here."""
        return bool(self.is_on) and not self.options["classes"]


def detailer_of(
    scripts: Mapping[str, Any] | None,
    class_names: Sequence[str],
    prompt: str = "",
    negative_prompt: str = "",
) -> Detailer:
    """Parses the block: up to two switches, then a unit for each tab.

    Args:
        scripts: all script blocks of the request.
        class_names: the classes of the loaded detector.
        prompt: the picture's own prompt, for ``[PROMPT]``.
        negative_prompt: the picture's own negative prompt.

    Raises:
        Refused: if a value of a unit is invalid.
    """
    block = next((script for name, script in (scripts or {}).items() if name.lower() == NAME.lower()), None)
    if block is None:
        return Detailer()
    args = block.get("args", []) if isinstance(block, dict) else block
    args = args if isinstance(args, list) else [args]
    switches = [arg for arg in args if isinstance(arg, bool)]
    units = [
        validated(Unit, arg, prefix=f"{_BLOCK}.args.{index}")
        for index, arg in enumerate(args)
        if isinstance(arg, dict)
    ]
    units = [unit for unit in units if unit.is_on]
    if not units or not all(switches[:1]):
        return Detailer(is_on=False)
    return _joined(units, class_names, prompt, negative_prompt)


def _joined(units: Sequence[Unit], class_names: Sequence[str], prompt: str, negative_prompt: str) -> Detailer:
    """Combines all units to one repair: of conflicting values, the first unit's counts."""
    unused = [one for unit in units for one in _unused(unit)]
    known = [unit for unit in units if _classes(unit.ad_model, class_names)]
    unused += [
        Unused("ad_model", "no such part is known here", unit.ad_model) for unit in units if unit not in known
    ]
    if len(known) > 1:
        reason = "one repair for all units, with the settings of the first that has them"
        unused.append(Unused(_BLOCK, reason, "settings of each unit"))
    classes = [name for unit in known for name in _classes(unit.ad_model, class_names)]
    options: dict[str, Any] = {"classes": list(dict.fromkeys(classes))}
    if classes and not any(is_malformed(name) for name in classes):
        options["policy"] = Policy.EVERY  # as in ADetailer: every region is redrawn, malformed or not
    for unit in reversed(known):
        options |= _options(unit)
    used = {_TOLD[name]: value for name, value in options.items() if name in _TOLD}
    used["ADetailer model"] = ", ".join(unit.ad_model for unit in known)
    if known:
        own = (prompt, negative_prompt)
        options |= in_order((known[0].ad_prompt, known[0].ad_negative_prompt), own)
    return Detailer(True, options, used, tuple(dict.fromkeys(unused)))


def _options(unit: Unit) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if unit.ad_confidence is not None and 0 < unit.ad_confidence < 1:
        options["conf"] = unit.ad_confidence
    if unit.ad_denoising_strength:
        options["strengths"] = [unit.ad_denoising_strength]
    if most := _most(unit):
        options["max_regions"] = min(most, MAX_REGIONS)
    if unit.ad_mask_blur is not None:
        options["feather_px"] = min(unit.ad_mask_blur, MAX_FEATHER_PX)
    return options


def _most(unit: Unit) -> int:
    return unit.ad_mask_k or unit.ad_mask_k_largest


def _unused(unit: Unit) -> Iterator[Unused]:
    for name, value in (unit.model_extra or {}).items():
        neutral = (_NEUTRAL[name],) if name in _NEUTRAL else _NOTHING
        if name not in _UNDER_A_SWITCH and value not in neutral:
            yield Unused(name, "there is no such thing here", unit.ad_model)
    if unit.ad_confidence in (0, 1):
        yield Unused("ad_confidence", "it must lie between 0 and 1, both excluded", unit.ad_model)
    if _most(unit) > MAX_REGIONS:
        yield Unused("ad_mask_k", f"taken as {MAX_REGIONS}", unit.ad_model)
    if (unit.ad_mask_blur or 0) > MAX_FEATHER_PX:
        yield Unused("ad_mask_blur", f"taken as {MAX_FEATHER_PX}", unit.ad_model)


def _classes(model: str, class_names: Sequence[str]) -> list[str]:
    """Returns the detector's classes for a model's file name, the malformed ones where they exist."""
    name = model.lower()
    parts = {part for word, those in _PARTS.items() if word in name for part in those}
    found = [known for known in class_names if part_of(known) in parts]
    return [known for known in found if is_malformed(known)] or found
