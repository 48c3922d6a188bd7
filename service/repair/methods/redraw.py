"""The repair method ``redraw``: candidates drawn in batches, in the masked latents of a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from detectors import masks
from detectors.body_parts import PARTS, is_malformed, part_of
from detectors.detections import Image, Mask
from service.core.params import Method, RegionSettings
from service.core.regions import Region
from service.diffusion.hooks import BeforeHook, Hook
from service.repair.methods.base import Methods, Proposal, RegionContext
from service.repair.rungs import Rung

FROM_FILL = "_from_fill"
"""Suffix of a method's name if it starts from a fill."""
FILL_FROM_STRENGTH = 0.75
FILL_SHRINK = 8


class Inpainter(Protocol):
    """A model that redraws inside a mask (such as ``DiffusionModel``)."""

    @property
    def native_px(self) -> int:
        """Side of its native square picture, in pixels."""
        ...

    @property
    def cell_px(self) -> int:
        """Side of a latent cell in pixels, which is repainted or kept as a whole; divides ``native_px``."""
        ...

    @property
    def per_class(self) -> Mapping[str, RegionSettings]:
        """Best settings for parts of its generator's pictures, by class or part."""
        ...

    @property
    def most_at_once(self) -> int:
        """Largest number of candidates in one batch that fits into memory; 1 or more."""
        ...

    def inpaint(
        self,
        image: Image,
        mask: Mask,
        *,
        prompt: str,
        negative_prompt: str,
        strength: float,
        seeds: Sequence[int],
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        hooks: Sequence[Hook] = (),
        on_step: Callable[[int], None] | None = None,
    ) -> list[Image]:
        """Redraws the masked area: one candidate per seed, uint8 RGB of the size of ``image``.

        Steps and guidance are the model's own if None. ``hooks`` observe the run and may steer it;
        ``on_step`` is called after each step and before each call of a network.
        """
        ...


class GuidanceHook(BeforeHook, Protocol):
    """A hook that steers a run by a guide (such as ``Nudge``)."""

    @property
    def energies(self) -> list[tuple[float, float]]:
        """The guide's energy of each candidate before the first nudge and after the last."""
        ...


MakeGuidanceHook = Callable[[tuple[float, float, float, float], Mask], GuidanceHook]
"""Makes a hook from the part's box and the repainted mask, both in pixels of the model's canvas."""


def starts_from_fill(region: Region, strength: float) -> bool:
    """Tells whether a part is filled from its surroundings before it is redrawn, by default.

    An extra limb that the model can still see is drawn again, however strong the noise. So malformed limbs
    are filled at strengths from 0.75.
    """
    part = PARTS.get(part_of(region.class_name))
    may_double = part is not None and part.doubles and is_malformed(region.class_name)
    return may_double and strength >= FILL_FROM_STRENGTH


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Redraw:
    """The repair method ``redraw``: masked sampling by an inpainting model.

    Attributes:
        inpainter: the model that redraws.
    """

    inpainter: Inpainter

    def propose(self, context: RegionContext, rung: Rung, seeds: Sequence[int]) -> Proposal:
        """Draws one candidate for each seed."""
        return redraw(self.inpainter, context, rung, seeds)


def redraw_only(inpainter: Inpainter) -> Methods:
    """Returns the methods that any inpainting model supports."""
    return {Method.REDRAW: Redraw(inpainter=inpainter)}


def redraw(
    inpainter: Inpainter,
    context: RegionContext,
    rung: Rung,
    seeds: Sequence[int],
    guidance_hook: MakeGuidanceHook | None = None,
) -> Proposal:
    """Redraws a region once for each seed, in batches as large as the memory allows.

    Args:
        inpainter: the model that redraws.
        context: the region; its denoise mask is widened to whole latent cells.
        rung: strength, steps and guidance, and whether to fill the region first (see ``fill``).
        seeds: seeds of the candidates.
        guidance_hook: makes the hook that steers each run; None for no hook.
    """
    window, region = context.window, context.region
    is_filled = starts_from_fill(region, rung.strength) if rung.fill is None else rung.fill
    canvas = window.cut(context.image)
    repainted = masks.snap_to_cells(window.cut_mask(region.denoise_mask), inpainter.cell_px)
    start = fill(canvas, repainted) if is_filled else canvas
    at_once = inpainter.most_at_once
    batches = [seeds[first : first + at_once] for first in range(0, len(seeds), at_once)]
    drawn, energies = list[Image](), list[tuple[float, float]]()
    for batch in batches:
        hook = None if guidance_hook is None else guidance_hook(window.on_canvas(region.xyxy), repainted)
        drawn += inpainter.inpaint(
            start,
            repainted,
            prompt=context.prompts.prompt,
            negative_prompt=context.prompts.negative_prompt,
            strength=rung.strength,
            seeds=batch,
            num_inference_steps=rung.num_inference_steps,
            guidance_scale=rung.guidance_scale,
            hooks=() if hook is None else (hook,),
            on_step=context.on_step,
        )
        energies += [] if hook is None else hook.energies
    return Proposal(
        method=rung.method.value + (FROM_FILL if is_filled else ""),
        canvases=drawn,
        window=window,
        repainted=window.uncut_mask(repainted),
        energies=None if guidance_hook is None else energies,
    )


def fill(image: Image, mask: Mask) -> Image:
    """Replaces the masked area by a blurred continuation of its surroundings: uint8 RGB (H, W, 3).

    It is inpainted at an eighth of the size and enlarged again, which is fast and gives the blur.
    """
    height, width = mask.shape
    small_wh = (max(1, width // FILL_SHRINK), max(1, height // FILL_SHRINK))
    small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)
    hole = (cv2.resize(mask, small_wh, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    if hole.all():
        small[:] = small.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    else:
        small = cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(mask[..., None] > 0, smooth, image).astype(np.uint8)
