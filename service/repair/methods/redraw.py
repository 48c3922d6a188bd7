"""Draws a region anew: several candidates at once, in the masked latents of a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from detectors import masks
from detectors.detections import Image, Mask
from detectors.protocols import part_of
from service.core.params import Method, RegionSettings
from service.core.regions import Region
from service.diffusion.hooks import BeforeHook, Hook
from service.repair.prompts import Prompts
from service.repair.window import FRAMING, FRAMINGS, Window, window_around

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


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Candidates for a window.

    Attributes:
        canvases: uint8 RGB, as the model drew them.
        window: where they belong.
        repainted: float32 of the window's size in the image, above 0 where the model was free to draw.
        energies: see ``GuidanceHook``; None where nothing was bent.
    """

    canvases: list[Image]
    window: Window
    repainted: Mask
    energies: list[tuple[float, float]] | None = None

    def patch(self, index: int) -> Image:
        """One candidate at the image's scale, covering the window's ``box``: uint8 RGB, made anew."""
        return self.window.uncut(self.canvases[index])

    @property
    def patches(self) -> list[Image]:
        """All of them."""
        return [self.patch(index) for index in range(len(self.canvases))]


def window_of(region: Region, image_hw: tuple[int, int], native_px: int) -> Window:
    """The window in which a region is redrawn: the part, its surroundings, all of its denoise mask."""
    held = masks.bounds(region.denoise_mask) or region.xyxy
    framing = FRAMINGS.get(part_of(region.class_name), FRAMING)
    return window_around(region.xyxy, held, image_hw, native_px, framing)


def method_name(method: Method, is_filled: bool) -> str:
    """The method's name, which tells whether it starts from the pixels that are there or from a fill."""
    return method.value + (FROM_FILL if is_filled else "")


def starts_from_fill(region: Region, strength: float) -> bool:
    """Whether a part is painted over with what surrounds it before it is redrawn, where nobody says.

    An extra limb that the model can still see is drawn again, however strong the noise; so a malformed limb
    is painted over from 0.75 on.
    """
    return region.class_name == "malformed_limb" and strength >= FILL_FROM_STRENGTH


def redraw(
    inpainter: Inpainter,
    image: Image,
    region: Region,
    window: Window,
    prompts: Prompts,
    *,
    strength: float,
    seeds: Sequence[int],
    is_filled: bool = False,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    guidance_hook: MakeGuidanceHook | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Redrawn:
    """Redraws a region once per seed, as many at once as the memory allows.

    Args:
        inpainter: what draws.
        image: uint8 RGB (H, W, 3), of any size.
        region: where; its denoise mask is widened to whole latent cells.
        window: what the model is shown (see ``window_of``).
        prompts: prompt and negative prompt.
        strength: in (0, 1].
        seeds: one candidate each.
        is_filled: whether it is painted over first (see ``fill``).
        num_inference_steps: at full strength; the model's own if None.
        guidance_scale: the model's own if None.
        guidance_hook: makes what bends the run, if anything does.
        on_step: told often how many denoising steps are done; what it raises ends the redrawing.
    """
    canvas = window.cut(image)
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
            prompt=prompts.prompt,
            negative_prompt=prompts.negative_prompt,
            strength=strength,
            seeds=batch,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            hooks=() if hook is None else (hook,),
            on_step=on_step,
        )
        energies += [] if hook is None else hook.energies
    return Redrawn(drawn, window, window.uncut_mask(repainted), None if guidance_hook is None else energies)


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
