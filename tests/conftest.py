"""Fixtures shared by all tests: a diffusion model of random weights, a few hundred kilobytes small."""

from __future__ import annotations

import json
import string
import warnings
from pathlib import Path

import pytest
import torch

TINY_PX = 32


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models gain nothing from threads, and threads that wait for a busy core lose a lot."""
    torch.set_num_threads(1)


def _tokenizer(folder: Path):
    from transformers import CLIPTokenizer

    letters = [
        letter + end for letter in string.ascii_lowercase + string.digits + ",." for end in ("", "</w>")
    ]
    words = ["<|startoftext|>", "<|endoftext|>", *letters]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def _text_encoder(vocabulary: int):
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def build_tiny_generator(folder: Path, in_channels: int = 4) -> Path:
    """Writes a ``StableDiffusionPipeline`` of random weights that draws 32 x 32 pixels."""
    from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(0)
    tokenizer = _tokenizer(folder.parent / f"{folder.name}-words")
    unet = UNet2DConditionModel(
        sample_size=TINY_PX // 8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )
    # Untrained it would draw black; this way it draws coloured noise about a middle grey.
    torch.nn.init.normal_(vae.decoder.layers[-1].weight, std=1.0)
    torch.nn.init.constant_(vae.decoder.layers[-1].bias, 0.5)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=_text_encoder(len(tokenizer)),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(prediction_type="v_prediction", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.save_pretrained(folder)
    defaults = {"num_inference_steps": 4, "guidance_scale": 2.0, "width": TINY_PX, "height": TINY_PX}
    (folder / "anatomend.json").write_text(json.dumps(defaults))
    return folder


@pytest.fixture(scope="session")
def tiny_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as ``models/`` is, with a ``generator`` of random weights."""
    folder = tmp_path_factory.mktemp("models")
    build_tiny_generator(folder / "generator")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_models_dir: Path):
    """The loaded ``DiffusionModel`` of ``tiny_models_dir``."""
    from service.diffusion.models import load_diffusion

    return load_diffusion("bundled", tiny_models_dir, "cpu")
