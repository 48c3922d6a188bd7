from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from service.core.errors import InvalidSettings
from service.diffusion.model import DiffusionModel
from service.diffusion.precision import in_bfloat16, wants_bfloat16


@pytest.mark.parametrize(("feature", "wanted"), [("avx512_bf16", True), ("amx_bf16", True), ("avx2", False)])
def test_auto_takes_what_the_processor_multiplies(
    feature: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True, "avx512_f": True})
    assert wants_bfloat16("auto", "cpu") is wanted
    assert not wants_bfloat16("float32", "cpu")
    assert wants_bfloat16("bfloat16", "cpu")


def test_an_accelerator_has_its_own_half_precision() -> None:
    assert not wants_bfloat16("auto", "cuda")
    with pytest.raises(InvalidSettings, match="ANATOMEND_PRECISION"):
        wants_bfloat16("bfloat16", "cuda")


def test_a_unet_in_bfloat16_gives_float32_and_nearly_the_same(tiny_model: DiffusionModel) -> None:
    exact = tiny_model.components["unet"]
    rounded = copy.deepcopy(exact)
    in_bfloat16(rounded)
    generator = torch.Generator().manual_seed(0)
    size = exact.config.sample_size
    sample = torch.randn(2, exact.config.in_channels, size, size, generator=generator)
    text = torch.randn(2, 7, exact.config.cross_attention_dim, generator=generator)
    with torch.no_grad():
        wanted = exact(sample, torch.tensor(999), text).sample
        made = rounded(sample, torch.tensor(999), encoder_hidden_states=text).sample
        as_tuple = rounded(sample, torch.tensor(999), text, return_dict=False)[0]
    assert next(rounded.parameters()).dtype == torch.bfloat16
    assert made.dtype == as_tuple.dtype == torch.float32
    assert torch.equal(made, as_tuple)
    assert 0 < float((made - wanted).norm() / wanted.norm()) < 0.05


def test_the_time_step_is_not_rounded(tiny_model: DiffusionModel) -> None:
    unet = copy.deepcopy(tiny_model.components["unet"])
    seen: list[torch.Tensor] = []
    unet.time_proj.register_forward_hook(lambda _module, args, _output: seen.append(args[0]))
    in_bfloat16(unet)
    size = unet.config.sample_size
    sample = torch.zeros(1, unet.config.in_channels, size, size)
    text = torch.zeros(1, 7, unet.config.cross_attention_dim)
    with torch.no_grad():
        unet(sample, torch.tensor([999.0]), text)
    assert float(seen[0][0]) == 999.0


def test_a_gradient_passes_through(tiny_model: DiffusionModel) -> None:
    unet = copy.deepcopy(tiny_model.components["unet"])
    in_bfloat16(unet)
    size = unet.config.sample_size
    sample = torch.randn(1, unet.config.in_channels, size, size, requires_grad=True)
    text = torch.zeros(1, 7, unet.config.cross_attention_dim)
    unet(sample, torch.tensor(500), text).sample.square().sum().backward()
    assert sample.grad is not None
    assert sample.grad.dtype == torch.float32
    assert np.isfinite(sample.grad.numpy()).all()
    assert float(sample.grad.abs().max()) > 0
