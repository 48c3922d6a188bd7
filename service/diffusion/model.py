"""One loaded diffusion model: prompt to picture, and masked redrawing on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from detectors.detections import Image, Mask
from service.core.model_limits import ModelLimits
from service.core.params import RegionSettings
from service.core.report import Unused
from service.diffusion.calls import Steps, attended, check_finite
from service.diffusion.hooks import Hook, tap
from service.diffusion.latents import Packing
from service.diffusion.memory_budget import ALIVE_AT_ONCE, BATCH_BYTES, fitting
from service.diffusion.parameterization import is_understood
from service.diffusion.pipeline_limits import limits_of
from service.diffusion.preview import Preview, SendPreviews, preview_for
from service.diffusion.prompt_encoding import heeds_negative, prompt_arguments, unused_of
from service.diffusion.resume import Resume, resume_inside

MAX_TRAIN_STEPS = 1000
PREVIEWS = 3
"""Largest number of previews sent during a run; each costs a small decode."""
SHOWN_SHRINK = 2
"""Factor by which previews are smaller than the usual decode."""


@dataclass(frozen=True, slots=True)
class SamplingDefaults:
    """Defaults for parameters that a request leaves out; sizes in pixels.

    Attributes:
        per_class: best settings to redraw parts of generated pictures, by class or part.
    """

    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int
    per_class: Mapping[str, RegionSettings] = field(default_factory=dict)


class DiffusionModel:
    """Two pipelines that share their weights. Not safe to call from several threads at once.

    Noise comes from CPU generators, one per picture, so that a picture depends neither on the device
    nor on the rest of the batch (except for the rounding of batched kernels).

    Attributes:
        bytes_per_px: size of its largest activation, for each pixel of a picture; 0 until it is measured.
    """

    def __init__(
        self,
        *,
        text_to_image: Any,
        inpainting: Any,
        model_id: str,
        source: str,
        defaults: SamplingDefaults,
        previews_dir: Path | None = None,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        """Takes the loaded pipelines.

        Args:
            text_to_image: a diffusers pipeline.
            inpainting: an inpainting pipeline on the same weights.
            model_id: name and hash, for the report.
            source: origin of the model.
            defaults: defaults for parameters that a request leaves out.
            previews_dir: folder of tiny autoencoders, see ``preview_for``.
            batch_bytes: memory limit of a batch, in bytes.
        """
        self._text_to_image = text_to_image
        self._inpainting = inpainting
        self.model_id = model_id
        self.source = source
        self.defaults = defaults
        self._previews_dir = previews_dir
        self._previews: dict[int, Preview] = {}
        self.bytes_per_px = 0.0
        self.batch_bytes = batch_bytes

    @property
    def family(self) -> str:
        """Class name of the pipeline."""
        return type(self._text_to_image).__name__

    @property
    def pipeline(self) -> Any:
        """The inpainting pipeline, for measurements."""
        return self._inpainting

    @property
    def components(self) -> Mapping[str, Any]:
        """Components of the text-to-image pipeline, by the library's names."""
        return dict(self._text_to_image.components)

    @property
    def cell_px(self) -> int:
        """Side in pixels of one latent cell."""
        return int(self._inpainting.vae_scale_factor)

    @property
    def native_px(self) -> int:
        """Side in pixels of the square at which it redraws: its default size's shorter side, rounded down."""
        step = self.limits.size_step_px
        return min(self.defaults.width, self.defaults.height) // step * step

    @property
    def limits(self) -> ModelLimits:
        """Sizes and steps that it supports."""
        return limits_of(self._inpainting)

    @property
    def most_at_once(self) -> int:
        """Largest number of candidates of its native size in one batch, by its memory limit; 1 or more."""
        return fitting(self.batch_bytes, self.bytes_per_px * self.native_px**2 * ALIVE_AT_ONCE)

    @property
    def per_class(self) -> Mapping[str, RegionSettings]:
        """Best settings for parts of its generator's pictures, by class or part."""
        return self.defaults.per_class

    @property
    def can_be_tapped(self) -> bool:
        """True if hooks can be used: the scheduler is supported."""
        return is_understood(self._text_to_image.scheduler)

    @property
    def can_resume(self) -> bool:
        """True if a run can be resumed inside a mask."""
        return self.can_be_tapped and not self._needs_mask

    def unused(self, prompt: str, name: str) -> tuple[Unused, ...]:
        """Returns the parts of a prompt, from the parameter ``name``, that have no effect on the picture."""
        return unused_of(self._text_to_image, prompt, name)

    def heeds_negative(self, guidance_scale: float | None) -> bool:
        """Tells whether a negative prompt has an effect at this guidance scale; the model's own if None."""
        scale = self.defaults.guidance_scale if guidance_scale is None else guidance_scale
        return heeds_negative(self._text_to_image, scale)

    def preview(self, shrink: int = 1) -> Preview:
        """Returns the cheapest decoder of x0, cached. See ``preview_for``."""
        if shrink not in self._previews:
            self._previews[shrink] = preview_for(
                self._text_to_image, shrink=shrink, taesd_dir=self._previews_dir
            )
        return self._previews[shrink]

    def generate(
        self,
        prompt: str,
        *,
        negative_prompt: str,
        seed: int,
        width: int,
        height: int,
        num_inference_steps: int,
        guidance_scale: float,
        on_step: Callable[[int], None] | None = None,
        on_preview: Callable[[int, Image], None] | None = None,
        wants_preview: Callable[[], bool] = lambda: True,
        hooks: Sequence[Hook] = (),
        resume: Resume | None = None,
    ) -> Image:
        """Generates one picture from noise, or by resuming a recorded run.

        Args:
            width: width in pixels; like the height, a multiple of ``limits.size_step_px``.
            on_step: called with the number of steps done, after each step and before each call of a network;
                an exception from it ends the run.
            on_preview: called a few times with the number of steps done and a preview. It does not change
                the picture by a bit.
            wants_preview: called before each preview; it is left out if the result is False.
            hooks: called at every step, before a preview is sent (see ``tap``).
            resume: the run to resume; ``seed`` is then not used.

        Returns:
            uint8 RGB (height, width, 3).

        Raises:
            ModelUnavailable: ``model_output_not_finite``, if the output holds NaN or infinity.
            StopRun: raised by a hook; nothing is decoded then.
        """
        if self._needs_mask:
            blank = np.full((height, width, 3), 127, np.uint8)
            everywhere = np.ones((height, width), np.float32)
            arguments = self._masked(blank, everywhere, 1.0, num_inference_steps, count=1)
        else:
            arguments = {"num_inference_steps": num_inference_steps}
        pipeline = self._inpainting if self._needs_mask else self._text_to_image
        arguments |= {"width": width, "height": height, "guidance_scale": guidance_scale}
        first = 0 if resume is None else resume.index
        steps = Steps(on_step, first)
        shown = self._shown(on_preview, wants_preview, num_inference_steps, first)
        packing = Packing.of(pipeline, height, width)
        if resume is None:
            with tap(pipeline, [*hooks, *shown], packing):
                return self._run(pipeline, prompt, negative_prompt, [seed], steps, arguments)[0]
        where = resume.recorder, resume.index, resume.cells, [resume.seed]
        with resume_inside(pipeline, *where, [*hooks, *shown], packing) as latents:
            arguments["latents"] = latents
            return self._run(pipeline, prompt, negative_prompt, [resume.seed], steps, arguments)[0]

    def generate_plainly(self, prompt: str, seed: int, hooks: Sequence[Hook] = ()) -> Image:
        """Generates a picture with the model's own size, steps and guidance, and no negative prompt."""
        defaults = self.defaults
        return self.generate(
            prompt,
            negative_prompt="",
            seed=seed,
            width=defaults.width,
            height=defaults.height,
            num_inference_steps=defaults.num_inference_steps,
            guidance_scale=defaults.guidance_scale,
            hooks=hooks,
        )

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
        """Redraws the masked area, one candidate per seed, all in one batch.

        Args:
            image: uint8 RGB (H, W, 3), sides multiples of ``limits.size_step_px``.
            mask: float32 (H, W); a pixel is repainted at 0.5 or more.
            strength: share of the noise schedule to run, in (0, 1]; at least one step is run.
            num_inference_steps: number of steps at strength 1; the model's own if None.
            guidance_scale: guidance scale; the model's own if None.
            hooks: called at every step (see ``tap``).
            on_step: see ``generate``.

        Returns:
            uint8 RGB (H, W, 3) each. Pixels outside the mask went through the autoencoder
            and differ from those of ``image``.

        Raises:
            ModelUnavailable, StopRun: see ``generate``.
        """
        height, width = mask.shape
        steps = num_inference_steps or self.defaults.num_inference_steps
        guidance = self.defaults.guidance_scale if guidance_scale is None else guidance_scale
        arguments = self._masked(image, mask, strength, steps, len(seeds))
        arguments |= {"width": width, "height": height, "guidance_scale": guidance}
        with tap(self._inpainting, hooks, Packing.of(self._inpainting, height, width)):
            return self._run(self._inpainting, prompt, negative_prompt, seeds, Steps(on_step), arguments)

    def _shown(
        self,
        on_preview: Callable[[int, Image], None] | None,
        wanted: Callable[[], bool],
        steps: int,
        first: int,
    ) -> list[Hook]:
        """Returns the hook that sends previews from the cheapest decoder, if any.

        A scheduler that is not supported does not prevent a picture; there are only no previews then.
        """
        if on_preview is None or not self.can_be_tapped:
            return []

        def send(done: int, _total: int, images: Sequence[Image]) -> None:
            on_preview(first + done, images[0])

        return [SendPreviews(self.preview(SHOWN_SHRINK), send, max(1, steps // PREVIEWS), wanted)]

    @property
    def _needs_mask(self) -> bool:
        """True if the UNet is an inpainting one, which takes mask and picture as extra channels."""
        unet = getattr(self._text_to_image, "unet", None)
        return unet is not None and unet.config.in_channels != self._text_to_image.vae.config.latent_channels

    @property
    def _encoder_draws_lots(self) -> bool:
        """True if the encoder samples, so that each candidate must be encoded with its own generator.

        The latents of a single copy would all be sampled with the first generator, which would make that
        candidate unlike the others. A tiny autoencoder does not sample.
        """
        from diffusers import AutoencoderTiny

        return not isinstance(self._inpainting.vae, AutoencoderTiny)

    def _masked(
        self, image: Image, mask: Mask, strength: float, num_inference_steps: int, count: int
    ) -> dict[str, Any]:
        # The pipeline runs int(steps * strength) steps and refuses to run none.
        most = self.limits.max_steps or MAX_TRAIN_STEPS
        steps = max(num_inference_steps, min(most, int(np.ceil(1 / strength))))
        copies = count if self._encoder_draws_lots else 1
        return {
            "image": [PIL.Image.fromarray(image)] * copies,
            "mask_image": PIL.Image.fromarray((mask >= 0.5).astype(np.uint8) * 255),
            "strength": min(1.0, max(strength, 1.001 / steps)),
            "num_inference_steps": steps,
        }

    def _run(
        self,
        pipeline: Any,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        steps: Steps,
        arguments: dict[str, Any],
    ) -> list[Image]:
        with attended(pipeline, steps):
            pictures = pipeline(
                num_images_per_prompt=len(seeds),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="np",
                callback_on_step_end=steps.after_step,
                **prompt_arguments(pipeline, prompt, negative_prompt),
                **arguments,
            ).images
        check_finite(bool(np.isfinite(pictures).all()))
        return [np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8) for picture in pictures]
