"""Builds models of random weights in the layouts of the trained ones, small enough for a test."""

from __future__ import annotations

import json
import string
import warnings
from pathlib import Path
from typing import Any

import torch

from detectors.body_parts import CLASS_NAMES

TINY_PX = 32
DETECTOR_DEFAULTS = {"imgsz": 64, "conf": dict.fromkeys(CLASS_NAMES, 0.35), "iou": 0.6}


def build_tiny_models(folder: Path) -> Path:
    """Writes a folder laid out as ``models/`` is: generator, detector and critic."""
    build_tiny_generator(folder / "generator")
    build_tiny_detector(folder / "detector")
    build_tiny_critic(folder / "critic")
    return folder


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    letters = [
        letter + end for letter in string.ascii_lowercase + string.digits + ",." for end in ("", "</w>")
    ]
    words = ["<|startoftext|>", "<|endoftext|>", *letters]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def _text_encoder(vocabulary: int) -> Any:
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
        pipeline.to(dtype=torch.float16).save_pretrained(folder)
    defaults = {"num_inference_steps": 4, "guidance_scale": 2.0, "width": TINY_PX, "height": TINY_PX}
    (folder / "anatomend.json").write_text(json.dumps(defaults))
    return folder


def build_tiny_detector(folder: Path, sees_everything: bool = False) -> Path:
    """Writes ``detector.pt`` and ``defaults.json``; it finds nothing, or something in everything."""
    from detectors.yolo_library import import_yolo

    yolo_class = import_yolo()
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel("yolo26n.yaml", nc=len(CLASS_NAMES), verbose=False)
    network.names = dict(enumerate(CLASS_NAMES))
    if sees_everything:
        head = network.model[-1]
        for branch in [*head.cv3, *head.one2one_cv3]:
            torch.nn.init.normal_(branch[-1].bias, mean=-3.0)
    yolo = yolo_class("yolo26n.yaml", verbose=False)
    yolo.model = network
    folder.mkdir(parents=True)
    yolo.save(str(folder / "detector.pt"))
    (folder / "defaults.json").write_text(json.dumps(DETECTOR_DEFAULTS))
    return folder


def build_tiny_critic(folder: Path) -> Path:
    """Writes ``model.safetensors`` in half precision, and ``config.json``."""
    from safetensors.torch import save_file

    from detectors.critic import CriticNet

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    net = CriticNet()
    for module in net.modules():  # untrained, its signal would vanish between unmatched normalizations
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    net.train()(torch.rand(16, 3, 96, 96) * 2 - 1)
    state = net.state_dict()
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in state.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps({"input_px": 96, "context": 1.25, "threshold": 0.6}))
    return folder
