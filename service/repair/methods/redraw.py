"""The repair method ``redraw``: several candidates at once, in the masked latents of a diffusion model."""

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
"""What is added to a method's name where it starts from a fill."""
FILL_FROM_STRENGTH = 0.75
FILL_SHRINK = 8


class Inpainter(Protocol):
    """What can redraw under a mask (``DiffusionModel`` does)."""

    @property
    def native_px(self) -> int:
        """Side of the square picture that it works on."""
        ...

    @property
    def cell_px(self) -> int:
        """Side of what is repainted or kept as one; divides ``native_px``."""
        ...

    @property
    def per_class(self) -> Mapping[str, RegionSettings]:
        """How it redraws parts of its generator's pictures best, by class or part."""
        ...

    @property
    def most_at_once(self) -> int:
        """Most candidates that are drawn together, for want of memory; 1 or more."""
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
        """One candidate per seed, each the size of ``image``.

        Steps and guidance are the model's own if None. ``hooks`` look into the run and may bend it;
        ``on_step`` is called after each step and before each call of a network.
        """
        ...


class GuidanceHook(BeforeHook, Protocol):
    """A hook that bends a run after a guide (``Nudge`` does)."""

    @property
    def energies(self) -> list[tuple[float, float]]:
        """Of each candidate what the guide saw before it was first bent, and after it last was."""
        ...


MakeGuidanceHook = Callable[[tuple[float, float, float, float], Mask], GuidanceHook]
"""From the part's box and what is repainted, both in pixels of the model's canvas."""


def starts_from_fill(region: Region, strength: float) -> bool:
    """Whether a part is painted over with what surrounds it before it is redrawn, where nobody says.

    An extra limb that the model can still see is drawn again, however strong the noise; so a malformed limb
    is painted over from 0.75 on.
    """
    part = PARTS.get(part_of(region.class_name))
    may_double = part is not None and part.doubles and is_malformed(region.class_name)
    return may_double and strength >= FILL_FROM_STRENGTH


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Redraw:
    """The repair method ``redraw``: masked sampling by an inpainting model.

    Attributes:
        inpainter: the model.
    """

    inpainter: Inpainter

    def propose(self, context: RegionContext, rung: Rung, seeds: Sequence[int]) -> Proposal:
        """Draws one candidate for each seed."""
        return redraw(self.inpainter, context, rung, seeds)


def redraw_only(inpainter: Inpainter) -> Methods:
    """Returns the methods that any inpainting model allows for."""
    return {Method.REDRAW: Redraw(inpainter=inpainter)}


def redraw(
    inpainter: Inpainter,
    context: RegionContext,
    rung: Rung,
    seeds: Sequence[int],
    guidance_hook: MakeGuidanceHook | None = None,
) -> Proposal:
    """Redraws a region once for each seed, as many at once as the memory allows.

    Args:
        inpainter: the model.
        context: the region; its denoise mask is widened to whole latent cells.
        rung: strength, steps and guidance, and whether to paint over first (see ``fill``).
        seeds: one candidate each.
        guidance_hook: makes the hook that steers each run, if there is one.
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
    """The image with everything under the mask replaced by a blurred continuation of what is around.

    Painted over at an eighth of the size and enlarged again: that is the blur, and the speed.
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
