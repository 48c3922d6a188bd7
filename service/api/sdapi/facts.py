"""Facts about the service that front ends read from a web UI on start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.api.sdapi.answers import SAMPLER, model_title
from service.core.errors import InvalidRequest
from service.jobs.records import WorkerFacts

FIXED: Mapping[str, Any] = {
    "samplers": [{"name": SAMPLER, "aliases": [], "options": {}}],
    "schedulers": [{"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1}],
    "scripts": {"txt2img": ["adetailer"], "img2img": ["adetailer"]},
    "upscalers": [{"name": "None", "model_name": None, "model_path": None, "model_url": None, "scale": 1}],
    "loras": [],
    "sd-vae": [],
    "hypernetworks": [],
    "prompt-styles": [],
    "embeddings": {"loaded": {}, "skipped": {}},
    "cmd-flags": {},
}
"""Constant answers, by the last part of their path."""


def sd_models(worker: WorkerFacts) -> list[dict[str, Any]]:
    """Returns the one loaded generator. A hash that is part of its id stays there."""
    title = model_title(worker)
    return [
        {"title": title, "model_name": title, "hash": None, "sha256": None, "filename": title, "config": None}
    ]


def options(worker: WorkerFacts) -> dict[str, Any]:
    """Returns the settings that front ends read."""
    return {
        "sd_model_checkpoint": model_title(worker),
        "sd_checkpoint_hash": "",
        "sd_vae": "Automatic",
        "samples_format": "png",
        "CLIP_stop_at_last_layers": 1,
    }


def check_options(wanted: Mapping[str, Any], worker: WorkerFacts) -> None:
    """Checks that settings hold already: a front end may set the current values, and nothing else.

    Raises:
        InvalidRequest: ``unknown_option``, or ``unchangeable_option`` with its fixed value.
    """
    known = options(worker)
    for name, value in wanted.items():
        if name not in known:
            raise InvalidRequest(f"no option {name!r}", code="unknown_option", allowed=sorted(known))
        if value != known[name]:
            raise InvalidRequest(
                f"{name} cannot be changed here", code="unchangeable_option", allowed=known[name]
            )
