from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detectors.critic import BATCH_CROPS, CriticConfig, CropCritic, critic_crop, soft_crop, to_input
from detectors.protocols import DifferentiableDetector, ModelLoadError
from tests.tiny import build_tiny_critic


@pytest.fixture(scope="module")
def critic_dir(tmp_path_factory):
    return build_tiny_critic(tmp_path_factory.mktemp("models") / "critic")


def test_half_precision_weights_run_in_float32(critic_dir):
    critic = CropCritic.load(critic_dir)
    assert critic.threshold == 0.6
    assert critic.model_id.startswith(f"{critic_dir.name}@")
    assert {p.dtype for p in critic._net.parameters()} == {torch.float32}
    image = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)
    crops = [critic.crop(image, (10, 10, 60, 90)), critic.crop(image, (100, 100, 180, 280))]
    together = critic.malformed(crops, ["hand", "limb"])
    alone = [critic.malformed([crop], [part])[0] for crop, part in zip(crops, ("hand", "limb"), strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together[0] != together[1]
    assert all(0 <= p <= 1 for p in together)
    assert critic.malformed([], []) == []


def test_many_crops_are_looked_at_a_few_at_a_time(critic_dir, monkeypatch):
    critic = CropCritic.load(critic_dir)
    sizes, net = [], critic._net.forward
    monkeypatch.setattr(critic._net, "forward", lambda pixels: (sizes.append(len(pixels)), net(pixels))[1])
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 255, (32, 32, 3), np.uint8) for _ in range(BATCH_CROPS + 3)]
    words = critic.malformed(crops, ["hand"] * len(crops))
    assert sizes == [BATCH_CROPS, 3]
    assert words[-1] == pytest.approx(critic.malformed(crops[-1:], ["hand"])[0], abs=1e-5)


def test_what_is_missing_is_named(critic_dir, tmp_path):
    with pytest.raises(ModelLoadError, match=str(tmp_path)):
        CropCritic.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelLoadError, match=str(tmp_path)):
        CropCritic.load(tmp_path)
    (tmp_path / "config.json").write_text('{"no_such_setting": 1}')
    with pytest.raises(ModelLoadError, match="no_such_setting"):
        CropCritic.load(tmp_path)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    box=st.tuples(st.floats(-30, 80), st.floats(-30, 80), st.floats(0, 90), st.floats(0, 90)),
    input_px=st.integers(1, 40),
    context=st.floats(0.5, 3),
)
def test_any_box_on_any_picture_gives_a_square(size, box, input_px, context):
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    xyxy = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    crop = critic_crop(image, xyxy, input_px, context)
    assert crop.shape == (input_px, input_px, 3)
    assert crop.dtype == np.uint8
    assert image.min() <= crop.min() <= crop.max() <= image.max()


def test_the_square_is_centred_and_the_edge_is_repeated():
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, :50] = 200
    crop = critic_crop(image, (30, 40, 70, 60), input_px=50, context=1.25)
    assert np.array_equal(crop, image[25:75, 25:75])
    beyond = critic_crop(image, (-20, -20, 20, 20), input_px=40, context=1.0)
    assert (beyond == 200).all()


def test_the_network_sees_minus_one_to_one():
    crops = [np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)]
    tensor = to_input(crops)
    assert tensor.shape == (2, 3, 4, 4)
    assert (tensor[0] == -1).all()
    assert (tensor[1] == 1).all()


def test_the_defaults_are_those_of_the_bundled_critic():
    assert CriticConfig() == CriticConfig(input_px=160, context=1.25, threshold=0.5)


def test_the_soft_crop_is_the_crop():
    image = np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    for box in ((40, 40, 104, 136), (-10, 100, 70, 160)):
        soft = soft_crop(pixels, box, 120, 1.25)[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(soft - critic_crop(image, box, 120, 1.25)).mean() < 4


def test_the_critic_can_guide(critic_dir):
    critic = CropCritic.load(critic_dir)
    assert isinstance(critic, DifferentiableDetector)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    box = (16.0, 10.0, 48.0, 50.0)
    energy = critic.defect_energy(pixels, box)
    slope = torch.autograd.grad(energy.sum(), pixels)[0]
    assert slope[..., 60:, :5].abs().max() == 0 < slope.abs().max()
    direction = slope / slope.norm()
    step = 0.02
    with torch.no_grad():
        rise = critic.defect_energy(pixels + step * direction, box) - critic.defect_energy(
            pixels - step * direction, box
        )
    assert float(rise) / (2 * step) == pytest.approx(float((slope * direction).sum()), rel=0.05)
