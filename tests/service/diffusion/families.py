"""One pipeline of each family, from its real configuration classes, with small random weights. No hub."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.tiny import _text_encoder, _tokenizer

FAMILIES = ("sd15", "sd2", "sdxl", "sd3", "flux")
SIDE_PX = 32
NO_CHECKER = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
SD_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}

SD_SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LCMScheduler",
    "UniPCMultistepScheduler",
]


def build_family(family: str, folder: Path) -> Any:
    """A pipeline that draws 32 x 32 pixels; silent."""
    torch.manual_seed(0)
    pipeline = {"sd15": _sd, "sd2": _sd2, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux}[family](folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _vae(quant: bool = True, channels: int = 4, **config: Any) -> Any:
    from diffusers import AutoencoderKL

    blocks = 4
    return AutoencoderKL(
        block_out_channels=(4,) * blocks,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=channels,
        norm_num_groups=2,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
        **config,
    )


def _unet(**config: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE_PX // 8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        **({"cross_attention_dim": 16, "attention_head_dim": 4} | config),
    )


def _sd(folder: Path, prediction_type: str = "epsilon", **unet: Any) -> Any:
    from diffusers import PNDMScheduler, StableDiffusionPipeline

    tokenizer = _tokenizer(folder / "words")
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(len(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(**unet),
        scheduler=PNDMScheduler(skip_prk_steps=True, prediction_type=prediction_type, **SD_NOISE),
        **NO_CHECKER,
    )


def _sd2(folder: Path) -> Any:
    from diffusers import DDIMScheduler

    pipeline = _sd(folder, use_linear_projection=True)
    pipeline.scheduler = DDIMScheduler(prediction_type="v_prediction", clip_sample=False, **SD_NOISE)
    return pipeline


@cache
def _projecting_encoder_config(vocabulary: int) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=16,
        bos_token_id=0,
        eos_token_id=1,
    )


def _projecting(vocabulary: int) -> Any:
    from transformers import CLIPTextModelWithProjection

    return CLIPTextModelWithProjection(_projecting_encoder_config(vocabulary)).eval()


def _sdxl(folder: Path) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel

    tokenizer = _tokenizer(folder / "words")
    return StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_projecting_encoder_config(len(tokenizer))).eval(),
        text_encoder_2=_projecting(len(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=32,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **SD_NOISE),
        add_watermarker=False,
    )


def _t5() -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=128, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return T5EncoderModel(config).eval()


def _sd3(folder: Path, channels: int = 4) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    tokenizer = _tokenizer(folder / "words")
    transformer = SD3Transformer2DModel(
        sample_size=SIDE_PX // 8,
        patch_size=1,
        in_channels=channels,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=32,
        out_channels=channels,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(quant=False, channels=channels, shift_factor=0.0609, scaling_factor=1.5305),
        text_encoder=_projecting(len(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=_projecting(len(tokenizer)),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def _flux(folder: Path) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    tokenizer = _tokenizer(folder / "words")
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(quant=False, shift_factor=0.1159, scaling_factor=0.3611),
        text_encoder=CLIPTextModel(_projecting_encoder_config(len(tokenizer))).eval(),
        tokenizer=tokenizer,
        text_encoder_2=_t5(),
        tokenizer_2=tokenizer,
        transformer=transformer.eval(),
    )
