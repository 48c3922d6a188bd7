"""Answers to front ends: pictures, the request again, and a JSON text about both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from service.api.sdapi.adetailer import Detailer
from service.api.sdapi.shapes import Wish
from service.core.report import Unused
from service.jobs.records import Job, WorkerFacts
from service.schemas.answers import Answer, ImageAnswer, UnusedAnswer

SAMPLER = "Automatic"
"""The loaded model's own sampler; there is no choice."""


def answered(
    wish: Wish, job: Job, facts: Answer, pictures: Sequence[str], detailer: Detailer, unused: Iterable[Unused]
) -> dict[str, Any]:
    """Returns the answer to a finished job, with the parameters that had no effect."""
    told = [UnusedAnswer.of(one) for one in dict.fromkeys(unused)]
    told += [one for image in facts.images for one in image.unused if one not in told]
    info = _info(wish, job, facts, detailer, told)
    return {
        "images": list(pictures) if wish.send_images else [],
        "parameters": wish.echo() | {"anatomend_unused": list(dict.fromkeys(one.name for one in told))},
        "info": json.dumps(info),
    }


def model_title(worker: WorkerFacts) -> str:
    """Returns the name of the loaded generator."""
    return next((str(card["id"]) for card in worker.models if card.get("role") == "generator"), "none")


def _info(
    wish: Wish, job: Job, facts: Answer, detailer: Detailer, unused: Sequence[UnusedAnswer]
) -> dict[str, Any]:
    seeds = [image.seed for image in facts.images]
    prompt, negative_prompt = wish.prompt, wish.negative_prompt
    finished_at = job.finished_at or job.created_at
    return {
        "prompt": prompt,
        "all_prompts": [prompt] * len(seeds),
        "negative_prompt": negative_prompt,
        "all_negative_prompts": [negative_prompt] * len(seeds),
        "seed": seeds[0],
        "all_seeds": seeds,
        "subseed": seeds[0],
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": facts.images[0].width,
        "height": facts.images[0].height,
        "sampler_name": SAMPLER,
        "cfg_scale": wish.cfg_scale,
        "steps": wish.steps,
        "batch_size": len(seeds),
        "restore_faces": False,
        "sd_model_name": facts.models.get("generator"),
        "denoising_strength": wish.denoising_strength,
        "extra_generation_params": dict(detailer.used),
        "index_of_first_image": 0,
        "infotexts": [_infotext(wish, image) for image in facts.images],
        "styles": [],
        "job_timestamp": datetime.fromtimestamp(finished_at, UTC).strftime("%Y%m%d%H%M%S"),
        "anatomend": {
            "job": job.id,
            "images": [image.model_dump(mode="json") for image in facts.images],
            "unused": [one.model_dump(mode="json") for one in unused],
        },
    }


def _infotext(wish: Wish, image: ImageAnswer) -> str:
    negative = f"\nNegative prompt: {wish.negative_prompt}" if wish.negative_prompt else ""
    return f"{wish.prompt}{negative}\nSeed: {image.seed}, Size: {image.width}x{image.height}"
