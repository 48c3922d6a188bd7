from __future__ import annotations

import numpy as np
import pytest
import torch

from service.diffusion.hooks import tap
from service.diffusion.latents import Packing
from service.diffusion.preview import (
    LinearPreview,
    SendPreviews,
    TinyPreview,
    _encoded,
    natural_pictures,
    preview_for,
    to_images,
)
from tests.service.diffusion.families import build_family
from tests.service.diffusion.test_hooks import run_family


@pytest.fixture(scope="module")
def flux(tmp_path_factory):
    return build_family("flux", tmp_path_factory.mktemp("flux"))


def test_a_tiny_model_is_its_own_preview(tiny_model):
    pipeline = tiny_model._text_to_image
    preview = preview_for(pipeline)
    assert (preview.kind, preview.cell_px) == ("own", 8)
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    seen = []
    with tap(pipeline, [lambda step: seen.append(step.x0)]):
        image = run_family(pipeline)[0]
    assert np.allclose(image, preview.decode(seen[-1])[0].permute(1, 2, 0).detach().numpy(), atol=0.02)
    small = preview_for(pipeline, shrink=2)
    assert small.cell_px == 4
    assert small.decode(latents).shape == (1, 3, 16, 16)


def test_another_model_gets_a_linear_map_unless_a_taesd_lies_ready(flux, tmp_path):
    preview = preview_for(flux, taesd_dir=tmp_path)
    assert (preview.kind, preview.cell_px) == ("linear", 1)
    from diffusers import AutoencoderTiny

    few = {"encoder_block_out_channels": (4,) * 4, "decoder_block_out_channels": (4,) * 4}
    AutoencoderTiny(latent_channels=4, **few).save_pretrained(tmp_path / "taef1")
    preview = preview_for(flux, taesd_dir=tmp_path)
    assert (preview.kind, preview.cell_px) == ("taef1", 8)
    AutoencoderTiny(latent_channels=8, **few).save_pretrained(tmp_path / "taef1")
    assert preview_for(flux, taesd_dir=tmp_path).kind == "linear", "made for other latents"


def test_the_linear_map_finds_the_colours_where_there_are_any():
    """An autoencoder whose latents are the mean colours, turned and shifted, is seen through exactly."""

    class Config(dict):
        __getattr__ = dict.__getitem__

    class Colours:
        dtype, device = torch.float32, torch.device("cpu")
        config = Config(scaling_factor=0.36, shift_factor=0.1, block_out_channels=(1, 1, 1, 1))

        def encode(self, signed):
            mean = torch.nn.functional.avg_pool2d(signed, 8)
            turned = torch.stack([mean[:, 0] - mean[:, 1], mean.sum(1), 2 * mean[:, 2] + 0.3], 1)
            return type("Encoded", (), {"latents": turned})

    preview = LinearPreview.fitted(Colours())
    pictures = natural_pictures(2, 64, seed=5)
    latents = _encoded(Colours(), pictures * 2 - 1)
    assert torch.allclose(preview.decode(latents), torch.nn.functional.avg_pool2d(pictures, 8), atol=1e-4)


def test_previews_can_be_differentiated_and_are_pictures(flux):
    for preview in (preview_for(flux), TinyPreview(_tiny(), "own")):
        latents = torch.randn(2, 4, 4, 6, requires_grad=True)
        pictures = preview.decode(latents)
        assert pictures.shape == (2, 3, 4 * preview.cell_px, 6 * preview.cell_px)
        assert 0 <= pictures.min() <= pictures.max() <= 1
        (gradient,) = torch.autograd.grad(pictures.sum(), latents)
        assert gradient.abs().sum() > 0
        images = to_images(pictures)
        assert images[0].dtype == np.uint8
        assert images[1].shape == (4 * preview.cell_px, 6 * preview.cell_px, 3)


def _tiny():
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    return AutoencoderTiny(encoder_block_out_channels=(4,) * 4, decoder_block_out_channels=(4,) * 4)


def test_previews_are_sent_every_few_steps_and_at_the_end(flux):
    sent = []
    hook = SendPreviews(preview_for(flux), lambda done, total, images: sent.append((done, total, images)), 2)
    with tap(flux, [hook], Packing.of(flux, 32, 32)):
        run_family(flux, steps=5)
    assert [(done, total) for done, total, _ in sent] == [(2, 5), (4, 5), (5, 5)]
    assert sent[0][2][0].shape == (4, 4, 3)
