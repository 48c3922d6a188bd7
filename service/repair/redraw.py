"""Draws a region anew: several candidates at once, in the masked latents of a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from detectors import masks
from detectors.detections import Image, Mask
from detectors.protocols import part_of
from service.repair.window import FRAMING, FRAMINGS, Window, window_around
from service.report import Region

METHOD, METHOD_FROM_FILL = "redraw", "redraw_from_fill"
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

    def inpaint(
        self,
        image: Image,
        mask: Mask,
        *,
        prompt: str,
        negative_prompt: str,
        strength: float,
        seeds: Sequence[int],
        on_step: Callable[[int], None] | None = None,
    ) -> list[Image]:
        """One candidate per seed, each the size of ``image``; ``on_step`` is called after each step."""
        ...


@dataclass(frozen=True, slots=True)
class Wording:
    """What the picture shows, in words, and what it should not."""

    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """Candidates for a window.

    Attributes:
        patches: uint8 RGB, each covering the window's ``box`` at the image's scale.
        repainted: float32 of that size, above 0 where the model was free to draw.
    """

    patches: list[Image]
    repainted: Mask


def wording_for(region: Region, wording: Wording, seen: Collection[str]) -> Wording:
    """The wording, or, where there is no prompt, plain words for what the detector saw.

    Args:
        region: what is redrawn.
        wording: what the user said.
        seen: class names found in the picture.
    """
    if wording.prompt:
        return wording
    bodies = [body for body in ("person", "horse") if body in seen]
    whole = "a person riding a horse" if len(bodies) == 2 else f"a {bodies[0]}" if bodies else ""
    words = {"hand": "a hand", "limb": whole or "a person"}.get(part_of(region.class_name), whole)
    return Wording(words, wording.negative_prompt)


def window_of(region: Region, image_hw: tuple[int, int], native_px: int) -> Window:
    """The window in which a region is redrawn: the part, its surroundings, all of its denoise mask."""
    held = masks.bounds(region.denoise_mask) or region.xyxy
    framing = FRAMINGS.get(part_of(region.class_name), FRAMING)
    return window_around(region.xyxy, held, image_hw, native_px, framing)


def method_for(region: Region, strength: float) -> str:
    """Whether a rung starts from the pixels that are there or from a fill in their place.

    An extra limb that the model can still see is drawn again, however strong the noise; so from 0.75 on
    a malformed limb is first painted over with what surrounds it.
    """
    from_fill = region.class_name == "malformed_limb" and strength >= FILL_FROM_STRENGTH
    return METHOD_FROM_FILL if from_fill else METHOD


def redraw(
    inpainter: Inpainter,
    image: Image,
    region: Region,
    window: Window,
    wording: Wording,
    *,
    strength: float,
    seeds: Sequence[int],
    on_step: Callable[[int], None] | None = None,
) -> Redrawn:
    """Redraws a region once per seed.

    Args:
        inpainter: what draws.
        image: uint8 RGB (H, W, 3), of any size.
        region: where; its denoise mask is widened to whole latent cells.
        window: what the model is shown (see ``window_of``).
        wording: prompt and negative prompt.
        strength: in (0, 1].
        seeds: one candidate each.
        on_step: told how many denoising steps are done; what it raises ends the redrawing.
    """
    canvas = window.cut(image)
    repainted = masks.snap_to_cells(window.cut_mask(region.denoise_mask), inpainter.cell_px)
    start = fill(canvas, repainted) if method_for(region, strength) == METHOD_FROM_FILL else canvas
    drawn = inpainter.inpaint(
        start,
        repainted,
        prompt=wording.prompt,
        negative_prompt=wording.negative_prompt,
        strength=strength,
        seeds=seeds,
        on_step=on_step,
    )
    return Redrawn([window.uncut(candidate) for candidate in drawn], window.uncut_mask(repainted))


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
