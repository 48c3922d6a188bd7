from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from detectors.critic import CONFIG_FILE, WEIGHTS_FILE, CriticNet, CropCritic
from detectors.protocols import DifferentiableDetector
from detectors.stage_net import TwoEyedNet


class _Says(nn.Module):
    """Says the same number of every crop, and how large the crops were."""

    def __init__(self, word: float) -> None:
        super().__init__()
        self.word, self.sizes = word, []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(pixels.shape[2:]))
        return torch.full((len(pixels), 1), self.word)


def two_eyed(first: float, second: float, realness: float) -> TwoEyedNet:
    net = TwoEyedNet(_Says(first), "n").eval()
    with torch.no_grad():
        net.second.head.weight.zero_()
        net.second.head.bias.copy_(torch.tensor([second, realness]))
    return net


@pytest.mark.parametrize(("realness", "hand"), [(30.0, 3.0), (-30.0, 1.0), (0.0, 2.0)])
def test_of_a_real_hand_the_second_eye_has_the_word_of_a_rendered_one_the_first(realness, hand):
    net = two_eyed(first=1.0, second=3.0, realness=realness)
    assert net(torch.zeros(2, 3, 64, 64))[:, 0].tolist() == pytest.approx([hand] * 2, abs=1e-4)


def test_limbs_are_the_first_eyes_shifted_as_it_was_fitted():
    net = two_eyed(first=1.0, second=3.0, realness=30.0)
    net.first_shift.copy_(torch.tensor([0.0, 0.25]))
    assert net(torch.zeros(1, 3, 64, 64))[0, 1].item() == pytest.approx(0.75)


def test_the_first_eye_sees_the_middle_at_its_own_size():
    net = two_eyed(0.0, 0.0, 0.0)
    net(torch.zeros(1, 3, 96, 96))
    assert net.first.sizes == [(160, 160)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("critic")
    state = TwoEyedNet(CriticNet(), "n").state_dict()
    save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, folder / WEIGHTS_FILE)
    config = {"input_px": 64, "context": 1.5, "threshold": 0.5, "shifts": {}, "backbone": "n"}
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder


def test_a_stored_two_eyed_critic_answers_for_each_part(folder):
    critic = CropCritic.load(folder)
    image = np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8)
    crop = critic.crop(image, (10, 10, 60, 60))
    assert crop.shape == (64, 64, 3)
    hand, limb, unknown = critic.malformed([crop] * 3, ["hand", "limb", ""])
    assert hand != limb
    assert unknown == hand
    assert all(0 <= p <= 1 for p in (hand, limb))


def test_it_guides_as_any_critic_does(folder):
    critic = CropCritic.load(folder)
    assert isinstance(critic, DifferentiableDetector)
    image = torch.rand(1, 3, 90, 80, requires_grad=True)
    critic.defect_energy(image, (10, 10, 60, 60)).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
