"""Fits the critic's second eye: what of a backbone's features tells a malformed hand, and what a render.

    python -m training.real_critic features --crops FILE --backbone yolo26s.pt --size s --out FILE.npy
    python -m training.real_critic fit --crops FILE … --features FILE.npy … --backbone yolo26s.pt --size s
        --first FOLDER --own models/detector/generated.json --out models/critic

The features are those of ``detectors.stage_net``; what is fitted is logistic regression, its strength chosen
and its probabilities calibrated on the selection split, on hands on which two pairs of eyes agree.
``features`` averages a crop and its mirror image, and goes on where it was cut short.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from detectors.critic import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    CriticConfig,
    CriticNet,
    CropCritic,
    read_weights,
    to_input,
)
from detectors.fusion import Fusion
from detectors.stage_net import PARTS, StageNet, TwoEyedNet
from detectors.yolo_library import trainable
from service.repair.calibration import GeneratorCalibration
from training.real_crops import CONTEXT, PX, RENDER

AGREED = ("MM", "WW")
STRENGTHS = (1e-5, 3e-5, 1e-4)
"""Of the regression's prior (C): a few hundred malformed hands and thousands of features."""
REALNESS_STRENGTH = 1e-3
PHOTO_WEIGHT = 1.2
"""What a photograph's hand counts, times its weight: a photograph is no sign of a good hand, nor a render."""
ALARMS = 0.10
"""The threshold is where this share of the well-formed hands of the selection split is called malformed."""
BATCH = 16
Floats = NDArray[np.float32]


def pretrained(backbone: Path, size: str, outputs: int = 2) -> StageNet:
    """The second eye with the layers of a detector, its head untrained."""
    net = StageNet(size, outputs)
    theirs: Any = trainable(str(backbone)).model
    for mine, layer in zip(net.layers, theirs, strict=False):
        mine.load_state_dict(layer.state_dict())
    return net.eval()


@torch.inference_mode()
def features(args: argparse.Namespace) -> None:
    """Writes the pooled features of every crop, float16 (N, width); a row of zeros is still to be done."""
    torch.set_num_threads(1)
    net = pretrained(args.backbone, args.size).to(memory_format=torch.channels_last)
    crops = np.load(args.crops)["crops"]
    width = net.head.in_features
    mode = "r+" if args.out.exists() else "w+"
    kept = np.lib.format.open_memmap(args.out, mode, np.float16, (len(crops), width))
    left = np.flatnonzero(~np.any(kept[:, :64], axis=1))
    for start in range(0, len(left), BATCH):
        rows = left[start : start + BATCH]
        pixels = to_input(list(crops[rows])) * 0.5 + 0.5
        both = [net.pooled(p.contiguous(memory_format=torch.channels_last)) for p in (pixels, pixels.flip(3))]
        kept[rows] = ((both[0] + both[1]) / 2).numpy().astype(np.float16)
        if start % (BATCH * 20) == 0:
            kept.flush()
            print(f"{start} of {len(left)}", flush=True)
    kept.flush()


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear output on raw features: logit = features @ weight + bias."""

    weight: Floats
    bias: float

    def __call__(self, rows: Floats) -> Floats:
        """(N, width) to (N,)."""
        return np.asarray(rows @ self.weight + self.bias, np.float32)

    def scaled(self, gain: float, shift: float) -> Linear:
        """The same with its logits times ``gain`` plus ``shift``."""
        return Linear((self.weight * gain).astype(np.float32), self.bias * gain + shift)


def fit_linear(rows: Floats, truth: NDArray[np.bool_], weights: Floats, strength: float) -> Linear:
    """Logistic regression on standardised features, either class weighing as much as the other."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = rows.mean(0), rows.std(0) + 1e-3
    balance = np.where(truth, 0.5 / weights[truth].sum(), 0.5 / weights[~truth].sum()) * len(truth)
    fitted = LogisticRegression(C=strength, max_iter=400)
    fitted.fit((rows - mean) / spread, truth, sample_weight=weights * balance)
    weight = (fitted.coef_[0] / spread).astype(np.float32)
    return Linear(weight, float(fitted.intercept_[0] - mean @ weight))


def calibrated(linear: Linear, rows: Floats, truth: NDArray[np.bool_]) -> Linear:
    """The same with probabilities as often right as they say on these rows (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    platt = LogisticRegression(C=1e3).fit(linear(rows)[:, None], truth)
    return linear.scaled(float(platt.coef_[0, 0]), float(platt.intercept_[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Holds what ``training.real_crops`` wrote, and its features."""

    rows: Floats
    malformed: NDArray[np.bool_]
    weight: Floats
    split: NDArray[np.str_]
    kind: NDArray[np.str_]
    agreed: NDArray[np.bool_]

    @classmethod
    def load(cls, files: Sequence[Path], found: Sequence[Path]) -> Crops:
        """Reads files of crops and, in the same order, their features, one below the other."""
        columns: dict[str, list[NDArray[Any]]] = {}
        for path in files:
            with np.load(path) as kept:
                about = [json.loads(line) for line in kept["about"]]
                agreed = np.array([one.get("votes", "")[:2] in AGREED for one in about])
                for name in ("malformed", "weight", "split", "kind"):
                    columns.setdefault(name, []).append(kept[name])
                columns.setdefault("agreed", []).append(agreed)
        rows = np.concatenate([np.load(path).astype(np.float32) for path in found])
        return cls(rows, **{name: np.concatenate(parts) for name, parts in columns.items()})


def area(truth: NDArray[np.bool_], scores: Floats) -> float:
    """Area under the curve."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))


def choose(crops: Crops, surgery: float) -> tuple[Linear, float]:
    """The regression that is best on the selection split, calibrated there, and its threshold.

    Args:
        crops: with features.
        surgery: what warped hands and their controls count, times their weight.
    """
    warped = np.char.startswith(crops.kind, "warp") | np.char.startswith(crops.kind, "control")
    times = np.where(warped, surgery, np.where(crops.kind == "photo", PHOTO_WEIGHT, 1.0))
    weights = (crops.weight * times).astype(np.float32)
    train = (crops.split == "train") & (weights > 0)
    select = (crops.split == "select") & crops.agreed
    best: tuple[float, Linear] | None = None
    for strength in STRENGTHS:
        linear = fit_linear(crops.rows[train], crops.malformed[train], weights[train], strength)
        found = area(crops.malformed[select], linear(crops.rows[select]))
        print(json.dumps({"surgery": surgery, "strength": strength, "select": round(found, 4)}), flush=True)
        if best is None or found > best[0]:
            best = (found, linear)
    assert best is not None
    hand = calibrated(best[1], crops.rows[select], crops.malformed[select])
    sound = hand(crops.rows[select & ~crops.malformed])
    return hand, float(1 / (1 + np.exp(-np.quantile(sound, 1 - ALARMS))))


def realness(crops: Crops) -> Linear:
    """Tells real pictures (and photographs) from renders and the bundled generator's own."""
    real, render = crops.split == "train", crops.kind == RENDER
    known = real | render
    return fit_linear(crops.rows[known], real[known], np.ones(known.sum(), np.float32), REALNESS_STRENGTH)


def log_odds(probability: float) -> float:
    """ln(p / (1 - p))."""
    return math.log(probability / (1 - probability))


def write(args: argparse.Namespace, hand: Linear, threshold: float, real: Linear) -> float:
    """Writes the two-eyed critic: half-precision weights and their configuration.

    Returns:
        How far the first eye's log-odds were moved, so that its threshold is the second one's.
    """
    config: dict[str, Any] = json.loads((args.first / CONFIG_FILE).read_text())
    first = CriticNet()
    first.load_state_dict(read_weights(args.first / WEIGHTS_FILE))
    net = TwoEyedNet(first, args.size)
    net.second = pretrained(args.backbone, args.size)
    moved = log_odds(config["threshold"]) - log_odds(threshold)
    with torch.no_grad():
        net.second.head.weight.copy_(torch.from_numpy(np.stack([hand.weight, real.weight])))
        net.second.head.bias.copy_(torch.tensor([hand.bias, real.bias]))
        net.first_shift.copy_(torch.tensor([config["shifts"].get(part, 0.0) + moved for part in PARTS]))
    args.out.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    save_file(state, args.out / WEIGHTS_FILE)
    made = CriticConfig(PX, CONTEXT, round(threshold, 3), {}, args.size)
    stored = {name: getattr(made, name) for name in CriticConfig.__slots__}
    (args.out / CONFIG_FILE).write_text(json.dumps(stored, indent=2) + "\n")
    return moved


def move_fusion(path: Path, critic: CropCritic, moved: float) -> None:
    """Has thresholds that were fitted with the first eye alone hold for both: of renders it has the word.

    Args:
        path: what ``GeneratorCalibration.save`` wrote.
        critic: the new one.
        moved: how far the first eye's log-odds were moved.
    """
    own = GeneratorCalibration.load(path)
    if own.fused is None:
        return
    old = own.fused.fusion.weights
    weights = {part: replace(by, bias=round(by.bias + by.critic * moved, 3)) for part, by in old.items()}
    replace(own, fused=replace(own.fused, fusion=Fusion(weights), critic=critic.model_id)).save(path)


def fit(args: argparse.Namespace) -> None:
    """Chooses, calibrates and writes."""
    crops = Crops.load(args.crops, args.features)
    hand, threshold = choose(crops, args.surgery)
    moved = write(args, hand, threshold, realness(crops))
    if args.own is not None:
        move_fusion(args.own, CropCritic.load(args.out), moved)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("features")
    first.set_defaults(run=features)
    second = commands.add_parser("fit")
    second.add_argument("--features", type=Path, nargs="+", required=True, help="one for each of --crops")
    second.add_argument("--first", type=Path, required=True, help="folder of the critic that knows renders")
    second.add_argument("--surgery", type=float, default=0.6)
    second.add_argument("--own", type=Path, help="generated.json that was fitted with the first eye alone")
    second.set_defaults(run=fit)
    first.add_argument("--crops", type=Path, required=True)
    second.add_argument("--crops", type=Path, nargs="+", required=True)
    for command in (first, second):
        command.add_argument("--backbone", type=Path, required=True)
        command.add_argument("--size", choices=("n", "s", "m", "l"), default="s")
        command.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
