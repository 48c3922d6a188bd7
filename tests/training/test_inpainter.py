"""Tests what the inpainter is trained on, and what it starts from."""

import json
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from service.diffusion.loading import load_diffusion
from tests.tiny import build_tiny_generator
from training.diffusion_loss import noised, signal_levels
from training.inpainter import CHANNELS, cut_shard, encode, widen
from training.windows import CELL_PX, cut_part

LIMBS = [
    {"class_name": "limb", "xyxy": [40.0, 60.0, 60.0, 120.0], "kind": "leg", "defect": None},
    {"class_name": "limb", "xyxy": [90.0, 62.0, 105.0, 118.0], "kind": "leg", "defect": None},
]
BODY = {"class_name": "horse", "xyxy": [20.0, 20.0, 120.0, 121.0], "kind": "body", "defect": None}


@given(st.integers(0, 10_000), st.integers(0, 1))
def test_every_window_repaints_whole_cells_on_a_part_and_keeps_some_of_what_is_around(seed, which):
    picture = np.random.default_rng(seed).integers(0, 255, (128, 128, 3), np.uint8)
    cut = cut_part(picture, LIMBS, which, np.random.default_rng(seed))
    assert cut.picture.shape == (128, 128, 3) and cut.picture.dtype == np.uint8
    cells = cut.repainted.reshape(16, CELL_PX, 16, CELL_PX)
    assert (cells.max(axis=(1, 3)) == cells.min(axis=(1, 3))).all()
    assert 0 < cut.repainted.mean() < 1


def _shard(folder: Path) -> Path:
    picture = np.full((128, 128, 3), 90, np.uint8)
    sound, spoilt = [*LIMBS, BODY], [LIMBS[0] | {"defect": "bent"}, LIMBS[1], BODY]
    lines = [
        {"kind": "horse", "words": {"coat": "brown"}, "parts": parts} for parts in (sound, spoilt, [BODY])
    ]
    np.savez(folder / "horse-0000.npz", pictures=np.stack([picture] * 3))
    (folder / "horse-0000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "horse-0000.npz"


def test_only_well_formed_pictures_are_cut_and_the_same_way_each_time(tmp_path):
    path = _shard(tmp_path)
    (cuts, facts), (again, _) = cut_shard(path, 1), cut_shard(path, 1)
    assert len(cuts) == len(facts) == 5 and facts[0] == {"kind": "horse", "words": {"coat": "brown"}}
    assert all(np.array_equal(a.repainted, b.repainted) for a, b in zip(cuts, again, strict=True))


def test_what_is_repainted_is_hidden_from_the_latents_around_it(tmp_path):
    model = load_diffusion(str(build_tiny_generator(tmp_path / "g")), tmp_path, "cpu")
    cuts, _ = cut_shard(_shard(tmp_path), 1)
    latents, around = encode(model.components["vae"], cuts)
    assert latents.shape == around.shape == (5, 4, 16, 16)
    assert not np.array_equal(latents, around)


def test_a_widened_denoiser_says_what_it_said_before_it_learns(tmp_path):
    narrow = load_diffusion(str(build_tiny_generator(tmp_path / "g")), tmp_path, "cpu").components["unet"]
    wide = widen(narrow)
    noisy, text = torch.randn(2, 4, 4, 4), torch.randn(2, 16, 16)
    more = torch.cat((noisy, torch.randn(2, CHANNELS - 4, 4, 4)), dim=1)
    with torch.no_grad():
        assert torch.allclose(narrow(noisy, 500, text).sample, wide(more, 500, text).sample, atol=1e-5)


def test_noised_latents_and_v_give_the_latents_back():
    alphas = signal_levels("cpu")[[10, 500, 999]]
    latents, noise = torch.randn(2, 3, 4, 8, 8).unbind()
    noisy, v, weight = noised(latents, noise, alphas)
    signal, strength = (a.sqrt()[:, None, None, None] for a in (alphas, 1 - alphas))
    assert torch.allclose(signal * noisy - strength * v, latents, atol=1e-4)
    assert weight[2] == 1 and 0 < weight[0] < 1
