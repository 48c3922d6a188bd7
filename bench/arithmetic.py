"""Cost of the watch in multiply-adds, also for models that are not bundled: ``python -m bench.arithmetic``.

Torch's own counter counts the multiply-adds of convolutions, matrix products and attention. Stable Diffusion
1.5 and SDXL are built without weights, from their published sizes; nothing is computed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.intervals import machine, table
from bench.models import load_models, step_inputs
from detectors.protocols import Detector
from service.core.params import WATCH_FRACTIONS

GIGA = 1e9
ENCODER_TOKENS = 77


def multiply_adds(work: Callable[[], object]) -> float:
    """Returns the number of multiply-adds that a piece of work needs."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        work()
    return counter.get_total_flops() / 2


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Cost of one model's parts, in multiply-adds.

    Attributes:
        steps: of a usual run.
        looks: of the watch into a run.
        step: one, with guidance.
        decode: of the finished picture.
        preview: as the watch has it.
        look: of the detector.
    """

    steps: int
    looks: int
    step: float
    decode: float
    preview: float
    look: float

    def row(self, name: str) -> list[str]:
        """This model's line."""
        run = self.steps * self.step + self.decode
        added = self.looks * (self.preview + self.look)
        counts = (self.step, self.decode, self.preview, self.look)
        return [
            name,
            str(self.steps),
            *(f"{n / GIGA:.1f}" for n in counts),
            str(self.looks),
            f"{added / run:.2%}",
        ]


HEADER = ("model", "steps", "a step, with guidance", "a decode", "the watch's decode",
          "a look of the detector", "looks", "added to a run")  # fmt: skip
SDXL: Mapping[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15: Mapping[str, Any] = {"sample_size": 64, "cross_attention_dim": 768}
"""The rest is what diffusers' class has for its defaults, which are that model's."""


def published(unet_config: Mapping[str, Any], steps: int, look: float) -> Arithmetic:
    """A model of Stable Diffusion's kind, watched through ``taesd``; shapes only, nothing is computed."""
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config)
        channels = (128, 256, 512, 512)
        vae = AutoencoderKL(
            block_out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * len(channels),
            up_block_types=("UpDecoderBlock2D",) * len(channels),
            layers_per_block=2,
        )
        taesd = AutoencoderTiny()
        side = unet.config.sample_size
        latents = torch.empty(1, unet.config.in_channels, side, side)
        text = torch.empty(2, ENCODER_TOKENS, unet.config.cross_attention_dim)
        more = {"text_embeds": torch.empty(2, 1280), "time_ids": torch.empty(2, 6)}
        noisy = torch.cat([latents] * 2)
        return Arithmetic(
            steps,
            len(WATCH_FRACTIONS),
            multiply_adds(lambda: unet(noisy, torch.empty(()), text, added_cond_kwargs=more)),
            multiply_adds(lambda: vae.decode(latents)),
            multiply_adds(lambda: taesd.decode(latents)),
            look,
        )


def look_of(detector: Detector) -> float:
    """One look; the network sees a picture of any size in the same square."""
    image = np.zeros((256, 256, 3), np.uint8)
    detector.detect([image], 0.25)  # what is done once only is not counted
    return multiply_adds(lambda: detector.detect([image], 0.25))


def rows() -> list[Sequence[str]]:
    """The bundled model's line, and those of the published ones."""
    models = load_models()
    generator, look = models.generator, look_of(models.detector)
    parts, defaults = generator.components, generator.defaults
    unet, vae = parts["unet"], parts["vae"]
    noisy, text = step_inputs(generator)
    latents = noisy[:1]
    fitted = models.preview_thresholds
    bundled = Arithmetic(
        defaults.num_inference_steps,
        len(WATCH_FRACTIONS if fitted is None else fitted.fractions),
        multiply_adds(lambda: unet(noisy, torch.tensor(500), text)),
        multiply_adds(lambda: vae.decode(latents)),
        multiply_adds(lambda: generator.preview().decode(latents)),
        look,
    )
    return [
        bundled.row("bundled, 256×256"),
        published(SD15, 25, look).row("Stable Diffusion 1.5, 512×512"),
        published(SDXL, 25, look).row("SDXL, 1024×1024"),
    ]


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(machine())
    print(table(HEADER, rows()))


if __name__ == "__main__":
    main()
