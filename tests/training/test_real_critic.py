from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from detectors.critic import CONFIG_FILE, WEIGHTS_FILE, CriticNet, CropCritic
from detectors.fusion import Fusion, Weights
from detectors.stage_net import StageNet
from service.repair.calibration import FusedCalibration, GeneratorCalibration
from training import real_critic
from training.real_critic import (
    Crops,
    Linear,
    calibrated,
    choose,
    fit_linear,
    log_odds,
    move_fusion,
    realness,
    write,
)
from training.uploads import fit, fused

RNG = np.random.default_rng(0)


def told_apart(count: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(count) % 4 == 0
    rows = RNG.normal(size=(count, 6)).astype(np.float32)
    rows[:, 2] += gap * truth
    return rows, truth


def test_regression_finds_what_tells_and_ignores_weightless_rows():
    rows, truth = told_apart(400, 4.0)
    wrong = np.concatenate([truth, ~truth])
    weights = np.concatenate([np.ones(400), np.full(400, 1e-6)]).astype(np.float32)
    linear = fit_linear(np.concatenate([rows, rows]), wrong, weights, 1.0)
    assert np.abs(linear.weight).argmax() == 2
    assert ((linear(rows) > 0) == truth).mean() > 0.9


def test_calibrated_probabilities_are_as_often_right_as_they_say():
    rows, truth = told_apart(2000, 2.0)
    loud = Linear(np.array([0, 0, 9, 0, 0, 0], np.float32), -3.0)
    says = 1 / (1 + np.exp(-calibrated(loud, rows, truth)(rows)))
    assert says.mean() == pytest.approx(truth.mean(), abs=0.02)
    sure = says > 0.6
    assert truth[sure].mean() == pytest.approx(says[sure].mean(), abs=0.06)


def crops(count: int = 400) -> Crops:
    rows, truth = told_apart(count, 3.0)
    split = np.where(np.arange(count) % 8 < 4, "train", "select")
    kind = np.where(np.arange(count) % 16 == 1, "warp-melted", "eye")
    return Crops(rows, truth, np.ones(count, np.float32), split, kind, np.ones(count, bool))


def test_the_threshold_raises_the_alarms_that_are_allowed():
    made = crops()
    hand, threshold = choose(made, surgery=0.0)
    sound = (made.split == "select") & ~made.malformed
    called = 1 / (1 + np.exp(-hand(made.rows[sound]))) >= threshold
    assert called.mean() == pytest.approx(real_critic.ALARMS, abs=0.03)


def test_renders_tell_what_is_not_real_and_nothing_of_hands():
    made = crops()
    render = np.arange(len(made.split)) % 8 == 0
    split, kind = np.where(render, "render", made.split), np.where(render, "render", made.kind)
    rows = made.rows.copy()
    rows[:, 4] += 6.0 * ~render
    real = realness(replace(made, rows=rows, split=split, kind=kind))
    assert (real(rows[render]) < 0).mean() > 0.95
    assert (real(rows[~render]) > 0).mean() > 0.95


def first_eye(folder, threshold: float = 0.5):
    folder.mkdir()
    save_file(CriticNet().state_dict(), folder / WEIGHTS_FILE)
    config = {"input_px": 160, "context": 1.25, "threshold": threshold, "shifts": {"hand": 1.5, "limb": 0.25}}
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A two-eyed critic that takes everything for a render: the first eye has the word."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("critics")
    first = first_eye(folder / "first")
    width = StageNet("n", 2).head.in_features
    args = argparse.Namespace(first=first, out=folder / "critic", size="n", backbone=None)
    nothing = np.zeros(width, np.float32)
    plain = real_critic.pretrained
    real_critic.pretrained = lambda backbone, size: StageNet(size, 2).eval()
    try:
        moved = write(args, Linear(nothing, 0.0), 0.3, Linear(nothing, -40.0))
    finally:
        real_critic.pretrained = plain
    return first, args.out, moved


def test_of_a_render_the_first_eyes_threshold_is_now_the_common_one(written):
    first, out, moved = written
    before, now = CropCritic.load(first), CropCritic.load(out)
    assert now.threshold == 0.3
    assert moved == pytest.approx(log_odds(0.5) - log_odds(0.3))
    image = RNG.integers(0, 255, (200, 200, 3), np.uint8)
    crop = {critic.model_id: critic.crop(image, (40, 40, 160, 160)) for critic in (before, now)}
    for part in ("hand", "limb"):
        was = before.malformed([crop[before.model_id]], [part])[0]
        word = now.malformed([crop[now.model_id]], [part])[0]
        assert log_odds(word) == pytest.approx(log_odds(was) - moved, abs=0.15), (
            "but for how a crop is scaled"
        )


def test_what_was_fitted_with_the_first_eye_says_the_same_with_both(written, tmp_path):
    _, out, moved = written
    by = Weights(malformed=0.1, well_formed=-0.2, critic=0.4, bias=-0.8)
    own = GeneratorCalibration(
        conf={},
        detector="d@1",
        generator="g@1",
        fused=FusedCalibration(conf={"malformed_hand": 0.5}, fusion=Fusion({"hand": by}), critic="first@1"),
    )
    own.save(tmp_path / "generated.json")
    critic = CropCritic.load(out)
    move_fusion(tmp_path / "generated.json", critic, moved)
    now = GeneratorCalibration.load(tmp_path / "generated.json")
    assert now.fused is not None
    assert now.fused.critic == critic.model_id
    word = 0.7
    moved_word = 1 / (1 + np.exp(-(log_odds(word) - moved)))
    was = own.fused.fusion.score("hand", 0.2, 0.5, word)
    assert now.fused.fusion.score("hand", 0.2, 0.5, float(moved_word)) == pytest.approx(was, abs=1e-3)


def test_either_kind_of_picture_weighs_the_same_in_an_uploads_measure():
    def scores(count: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        truth = np.arange(count) % 2 == 0
        rows = np.full((count, 3), 0.5, np.float32)
        rows[:, column] = np.where(truth, 0.8, 0.2)
        return rows, truth

    few, few_truth = scores(40, 0)
    many, many_truth = scores(4000, 2)
    weights = fit([few, many], [few_truth, many_truth])
    assert weights.malformed == pytest.approx(weights.critic, rel=0.1)
    assert fused(weights, few)[few_truth].min() > fused(weights, few)[~few_truth].max()
