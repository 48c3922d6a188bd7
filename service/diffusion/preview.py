"""Previews of x0: small decoders in place of the full one, which costs more than some steps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.detections import Image
from service.diffusion.hooks import Step
from service.diffusion.precision import multiplies_bfloat16

# The tiny autoencoders for a family's latents, by the pipeline's class name.
TAESD = {
    "StableDiffusionPipeline": "taesd",
    "StableDiffusionInpaintPipeline": "taesd",
    "StableDiffusionXLPipeline": "taesdxl",
    "StableDiffusionXLInpaintPipeline": "taesdxl",
    "StableDiffusion3Pipeline": "taesd3",
    "StableDiffusion3InpaintPipeline": "taesd3",
    "FluxPipeline": "taef1",
    "FluxInpaintPipeline": "taef1",
}
TAESD_OWNER = "madebyollin"
FIT_IMAGES, FIT_CELLS = 24, 16


class Preview(Protocol):
    """A decoder of latents to a rough picture."""

    @property
    def kind(self) -> str:
        """Kind of the decoder, for the report: ``own``, a ``taesd`` name, or ``linear``."""
        ...

    @property
    def cell_px(self) -> int:
        """Number of preview pixels for each latent cell, along one side."""
        ...

    def decode(self, x0: Tensor) -> Tensor:
        """Decodes latents, differentiably.

        Args:
            x0: (B, C, h, w), scaled as the pipeline samples them; any crop of the latents is allowed.

        Returns:
            float32 (B, 3, h * cell_px, w * cell_px) in [0, 1].
        """
        ...


class TinyPreview:
    """A ``Preview`` with an ``AutoencoderTiny``."""

    def __init__(self, vae: Any, kind: str, shrink: int = 1) -> None:
        """Takes the autoencoder.

        Args:
            vae: a diffusers ``AutoencoderTiny``.
            kind: its name for the report.
            shrink: number of cells each way that are averaged before decoding; it is added to ``kind``.
        """
        self._vae = vae
        self._shrink = shrink
        # In a preview, an error of 1 of 255 is invisible.
        self._in_bfloat16 = vae.device.type == "cpu" and multiplies_bfloat16()
        self.kind = kind if shrink == 1 else f"{kind}/{shrink}"
        scale = vae.config.upsampling_scaling_factor ** (len(vae.config.decoder_block_out_channels) - 1)
        self.cell_px = max(1, int(scale) // shrink)

    def decode(self, x0: Tensor) -> Tensor:
        """Decodes latents; see ``Preview.decode``."""
        if self._shrink > 1:
            x0 = F.avg_pool2d(x0, self._shrink, ceil_mode=True)
        latents = x0 / self._vae.config.scaling_factor
        with torch.autocast(x0.device.type, torch.bfloat16, enabled=self._in_bfloat16):
            picture = self._vae.decode(latents.to(self._vae.dtype), return_dict=False)[0]
        return _from_signed(picture)


class LinearPreview:
    """A ``Preview`` of one pixel for each cell; its colour is a linear function of the cell's channels."""

    kind = "linear"
    cell_px = 1

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Takes the linear map from latents to RGB in [0, 1]: weight (3, C) and bias (3,)."""
        self._weight, self._bias = weight, bias

    @classmethod
    def fitted(cls, vae: Any) -> LinearPreview:
        """Fits the map to ``vae`` by least squares, on random pictures with a natural spectrum.

        Args:
            vae: a diffusers autoencoder of pictures; its encoder is run once.
        """
        if vae.dtype == torch.float16:  # some autoencoders overflow in float16, and this runs once
            vae = copy.deepcopy(vae).float()
        pictures = natural_pictures(FIT_IMAGES, FIT_CELLS * _cell_px(vae)).to(vae.device, vae.dtype)
        with torch.no_grad():
            latents = _encoded(vae, pictures * 2 - 1).float().cpu()
        colours = F.adaptive_avg_pool2d(pictures.float().cpu(), (latents.shape[2], latents.shape[3]))
        cells = latents.movedim(1, -1).flatten(0, 2)
        known = torch.cat([cells, torch.ones(len(cells), 1)], 1)
        found = torch.linalg.lstsq(known, colours.movedim(1, -1).flatten(0, 2)).solution
        return cls(found[:-1].T.to(vae.device), found[-1].to(vae.device))

    def decode(self, x0: Tensor) -> Tensor:
        """Decodes latents; see ``Preview.decode``."""
        weight, bias = self._weight.to(x0.device), self._bias.to(x0.device)
        colours = torch.einsum("rc,bchw->brhw", weight, x0.float()) + bias[:, None, None]
        return colours.clamp(0.0, 1.0)


def preview_for(
    pipeline: Any, *, shrink: int = 1, taesd_dir: Path | None = None, from_hub: bool = False
) -> Preview:
    """Returns the best available preview: the model's own tiny decoder, a ``taesd``, or a linear map.

    Args:
        pipeline: a diffusers pipeline with a ``vae``.
        shrink: number of cells each way that are averaged before a tiny decoder runs.
        taesd_dir: folder with subfolders ``taesd``, ``taesdxl``, ``taesd3`` or ``taef1``; None for none.
        from_hub: True to load a missing one from the hub or its cache.
    """
    from diffusers import AutoencoderTiny

    if isinstance(pipeline.vae, AutoencoderTiny):
        return TinyPreview(pipeline.vae, "own", shrink)
    name = TAESD.get(type(pipeline).__name__)
    places = [] if name is None else _places(name, taesd_dir, from_hub)
    for place in places:
        try:
            tiny = AutoencoderTiny.from_pretrained(place, torch_dtype=pipeline.vae.dtype)
        except (
            OSError,
            ValueError,
        ):  # missing or out of reach: the linear map is used, as its ``kind`` shows
            continue
        if tiny.config.latent_channels == pipeline.vae.config.latent_channels:
            return TinyPreview(tiny.to(pipeline.vae.device).eval(), str(name), shrink)
    return LinearPreview.fitted(pipeline.vae)


def to_images(pictures: Tensor) -> list[Image]:
    """Converts decoded pictures, float (B, 3, H, W) in [0, 1], to uint8 RGB (H, W, 3) each."""
    pixels = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    return [np.ascontiguousarray(picture) for picture in pixels.permute(0, 2, 3, 1).numpy()]


class SendPreviews:
    """A hook that sends a preview every few steps."""

    def __init__(
        self,
        preview: Preview,
        send: Callable[[int, int, Sequence[Image]], None],
        every: int = 1,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Takes the decoder and the receiver.

        Args:
            preview: the decoder.
            send: called with the number of steps done, the number of all steps, and the batch's pictures.
            every: interval in steps; the last step is always sent.
            wanted: called before each decode; no preview is sent if the result is False.
        """
        self._preview, self._send, self._every, self._wanted = preview, send, every, wanted

    def __call__(self, step: Step) -> None:
        """Decodes and sends a preview if one is due."""
        done = step.index + 1
        if (done % self._every == 0 or step.is_last) and self._wanted():
            with torch.no_grad():
                self._send(done, step.total, to_images(self._preview.decode(step.x0)))


def natural_pictures(count: int, side_px: int, seed: int = 0) -> Tensor:
    """Returns random coloured pictures with the amplitude spectrum of photographs (1/f).

    Returns:
        float32 (count, 3, side_px, side_px) in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(count, 3, 1, 1, generator=generator).expand(-1, -1, side_px, side_px).clone()
    grid = 2
    while grid <= side_px:
        detail = torch.randn(count, 3, grid, grid, generator=generator) * (0.5 / grid**0.5)
        pictures += F.interpolate(detail, (side_px, side_px), mode="bilinear", align_corners=False)
        grid *= 2
    return pictures.clamp(0, 1)


def _places(name: str, folder: Path | None, from_hub: bool) -> list[str]:
    local = [str(folder / name)] if folder is not None and (folder / name).is_dir() else []
    return local + ([f"{TAESD_OWNER}/{name}"] if from_hub else [])


def _encoded(vae: Any, signed: Tensor) -> Tensor:
    """Encodes pictures to latents as the pipeline scales them, without noise."""
    encoded = vae.encode(signed)
    latents: Tensor = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    shift, scale = vae.config.get("shift_factor") or 0.0, float(vae.config.scaling_factor)
    return (latents - shift) * scale


def _cell_px(vae: Any) -> int:
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def _from_signed(picture: Tensor) -> Tensor:
    return (picture.float() / 2 + 0.5).clamp(0.0, 1.0)
