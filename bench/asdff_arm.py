"""The arm of ``asdff`` from PyPI (AGPL-3.0), the usual detailer for diffusers, with our model and detector.

It is not part of the service: ``pip install -e .[bench]`` brings it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from detectors.body_parts import part_of
from detectors.detections import Image
from service.diffusion.model import DiffusionModel
from service.engine.engine import DiffusionEngine

STRENGTH = 0.4
"""Its default."""


def asdff_arm(model: DiffusionModel, engine: DiffusionEngine) -> Callable[[str, int], Image]:
    """Pictures made and detailed by asdff, with masks where our detector sees hands and limbs."""

    def masks(picture: Any) -> list[Any] | None:
        seen = engine.detect(np.asarray(picture.convert("RGB")))
        made = []
        for xyxy, class_id in zip(seen.xyxy, seen.class_id, strict=True):
            if part_of(engine.class_names[class_id]) in ("hand", "limb"):
                mask = np.zeros((picture.height, picture.width), np.uint8)
                x1, y1, x2, y2 = (round(float(v)) for v in xyxy)
                mask[y1:y2, x1:x2] = 255
                made.append(Pillow.fromarray(mask))
        return made or None

    def run(prompt: str, seed: int) -> Image:
        from asdff import AdPipeline

        pipeline = AdPipeline(**model.components, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.inpaint_pipeline.set_progress_bar_config(disable=True)
        defaults = model.defaults
        common = {
            "prompt": prompt,
            "num_inference_steps": defaults.num_inference_steps,
            "guidance_scale": defaults.guidance_scale,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "width": defaults.width,
            "height": defaults.height,
        }
        made = pipeline(common=common, inpaint_only={"strength": STRENGTH}, detectors=[masks])
        last = made.images or made.init_images
        return np.asarray(last[0].convert("RGB"), np.uint8)

    return run
