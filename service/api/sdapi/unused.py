"""Parameters of front ends that have no effect here, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.core.report import Unused

_NOTHING: tuple[Any, ...] = (None, False, 0, "", [], {}, "None", "Automatic", "automatic")
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "do_not_save_grid": (True,),
    "do_not_save_samples": (True,),
    "hr_scale": (2,),
    "hr_upscaler": ("Latent",),
    "inpaint_full_res": (True,),
    "mask_blur_x": (4,),
    "mask_blur_y": (4,),
    "mask_round": (True,),
    "override_settings_restore_afterwards": (True,),
    "s_noise": (1,),
    "seed_resize_from_h": (-1,),
    "seed_resize_from_w": (-1,),
    "subseed": (-1,),
}
"""Neutral values beside ``_NOTHING``: the web UI's defaults, which front ends send along."""
_ASKS: frozenset[str] = frozenset({"inpaint_full_res", "mask_round"})
"""Parameters whose False is a request."""
_ONE_SAMPLER = "the loaded model has one sampler, its own"
_WHOLE_ONCE = "pictures are made once, at their own size"
_OWN_WINDOW = "each region is redrawn in a window of its own around it"
_ONE_SEED = "a picture is made from one seed"
_ONE_MODEL = "the loaded model is the only one"
_KEPT = "all pictures are kept, by their hash"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("sampler_name", "sampler_index", "scheduler", "eta", "s_churn", "s_noise"), _ONE_SAMPLER
    ),
    **dict.fromkeys(("s_min_uncond", "s_tmax", "s_tmin"), _ONE_SAMPLER),
    **dict.fromkeys(("enable_hr", "hr_scale", "hr_upscaler", "hr_second_pass_steps"), _WHOLE_ONCE),
    **dict.fromkeys(("hr_resize_x", "hr_resize_y", "firstphase_width", "firstphase_height"), _WHOLE_ONCE),
    **dict.fromkeys(("subseed", "subseed_strength"), _ONE_SEED),
    **dict.fromkeys(("seed_resize_from_h", "seed_resize_from_w"), _ONE_SEED),
    **dict.fromkeys(("refiner_checkpoint", "refiner_switch_at", "override_settings"), _ONE_MODEL),
    **dict.fromkeys(("inpaint_full_res", "inpaint_full_res_padding"), _OWN_WINDOW),
    **dict.fromkeys(("save_images", "do_not_save_grid", "do_not_save_samples"), _KEPT),
    "resize_mode": "the picture keeps its size",
    "inpainting_fill": "a strength of 1 begins from noise, less from what is there",
    "styles": "there are no styles",
    "script_name": "there are no scripts",
}
_NO_SUCH = "there is no such thing here"


def unused_names(sent: Mapping[str, Any]) -> Iterator[Unused]:
    """Yields the parameters without effect whose value is not neutral."""
    for name, value in sent.items():
        neutral = _NEUTRAL.get(name, ())
        asks_nothing = value is None or value in (neutral if name in _ASKS else (*_NOTHING, *neutral))
        if not asks_nothing:
            yield Unused(name, _REASONS.get(name, _NO_SUCH))


def unused_scripts(scripts: Mapping[str, Any] | None, understood: str) -> Iterator[Unused]:
    """Yields the active scripts, except the supported one."""
    for name, script in (scripts or {}).items():
        args = script.get("args") if isinstance(script, dict) else script
        if name.lower() != understood.lower() and args and args != [False]:
            yield Unused(f"alwayson_scripts.{name}", "there are no such scripts here")
