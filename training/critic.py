"""Trains the critic, and the judge of the bench: is the part in this crop malformed?

``python -m training.critic crops --data DIR/critic --autoencoder DIR --out FILE`` cuts the crops,
``python -m training.critic train --crops FILE --select FILE --net critic --out models/critic`` trains.
The judge is another network on crops from other seeds, with another mix of textures; only ``bench/`` uses it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from detectors.body_parts import is_malformed
from detectors.critic import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    CriticConfig,
    CriticNet,
    critic_crop,
    read_weights,
    to_input,
)
from detectors.yolo_library import import_yolo
from training.anatomy.world import read_shard, shards
from training.detector import BATCH, Textures, read_photographs
from training.judge_net import JUDGE_CONTEXT, JUDGE_PX, JudgeNet, start_from_imagenet
from training.schedule import AveragedWeights, Budget, set_learning_rate
from training.smears import with_smears
from training.textures import spoil

PARTS = ("hand", "malformed_hand", "limb", "malformed_limb")
NETS: dict[str, tuple[type[nn.Module], int, float]] = {
    "critic": (CriticNet, CriticConfig().input_px, CriticConfig().context),
    "judge": (JudgeNet, JUDGE_PX, JUDGE_CONTEXT),
}
MOST_WELL_FORMED = 3
"""A picture has up to six well-formed limbs for one malformed one; so many of them are kept."""


def _jittered(xyxy: list[float], rng: np.random.Generator) -> NDArray[np.float32]:
    """A box as a detector might have drawn it: moved and scaled a little."""
    x1, y1, x2, y2 = xyxy
    width, height = (x2 - x1) * rng.uniform(0.9, 1.15), (y2 - y1) * rng.uniform(0.9, 1.15)
    x, y = (x1 + x2) / 2 + width * rng.normal(0, 0.04), (y1 + y2) / 2 + height * rng.normal(0, 0.04)
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)


def cut(args: argparse.Namespace) -> None:
    """Writes all crops of a split: uint8 (N, px, px, 3), whether malformed, and the part's class."""
    _, px, context = NETS[args.net]
    textures = None if args.as_they_are else Textures(args.autoencoder, args.generator)
    rng = np.random.default_rng(args.seed)
    crops, classes, defects = [], [], []

    def take(picture: NDArray[np.uint8], parts: list[dict[str, Any]]) -> None:
        known = [part for part in parts if part["class_name"] in PARTS]
        bad = [part for part in known if is_malformed(part["class_name"])]
        good = [part for part in known if not is_malformed(part["class_name"])]
        rng.shuffle(good)
        spoilt = spoil(picture, rng)
        for part in bad * args.repeat + good[:MOST_WELL_FORMED]:
            crops.append(critic_crop(spoilt, _jittered(part["xyxy"], rng), px, context))
            classes.append(PARTS.index(part["class_name"]))
            defects.append(part.get("defect") or "")

    for path in tqdm(list(shards(args.data)) * args.copies, unit="shards"):
        pictures, lines = read_shard(path)
        for start in range(0, len(lines), BATCH):
            rows = slice(start, start + BATCH)
            batch, truth = pictures[rows], lines[rows]
            if textures is not None:
                smeared, truth = with_smears(batch, truth, rng)
                batch = textures.apply(smeared, truth, rng)
            for picture, line in zip(batch, truth, strict=True):
                take(picture, line["parts"])
    if args.photos is not None:
        for picture, parts in read_photographs(args.photos):
            take(picture, parts)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(args.out, crops=np.stack(crops), classes=np.array(classes), defects=np.array(defects))


def _augmented(crops: NDArray[np.uint8], rng: np.random.Generator) -> torch.Tensor:
    flipped = [crop[:, ::-1] if rng.random() < 0.5 else crop for crop in crops]
    pixels = to_input(flipped)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(crops), 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.15, 0.15, (len(crops), 1, 1, 1)).astype(np.float32))
    return pixels * gain + shift


@torch.no_grad()
def scores(net: nn.Module, crops: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    """(N,) probabilities of malformed."""
    made = [
        torch.sigmoid(net(to_input(list(crops[at : at + 64])).to(device))[:, 0]).cpu()
        for at in range(0, len(crops), 64)
    ]
    return torch.cat(made).numpy()


def figures(
    probability: NDArray[np.float32], classes: NDArray[np.int64], threshold: float
) -> dict[str, float]:
    """Area under the curve and, at the threshold, recall and false alarms, by part."""
    from sklearn.metrics import roc_auc_score  # an extra of training; the crops are cut without it

    made: dict[str, float] = {}
    for good, bad in ((0, 1), (2, 3)):
        part = (classes == good) | (classes == bad)
        if len(set(classes[part])) < 2:
            continue
        name = PARTS[good]
        made[f"auc_{name}"] = float(roc_auc_score(classes[part] == bad, probability[part]))
        made[f"recall_{name}"] = float((probability[classes == bad] >= threshold).mean())
        made[f"false_alarms_{name}"] = float((probability[classes == good] >= threshold).mean())
    return {name: round(value, 4) for name, value in made.items()}


def start_from_detector(net: CriticNet, checkpoint: Path) -> None:
    """Gives a ``CriticNet`` the layers that it shares with a YOLO26-n detector, such as that of COCO."""
    detector = import_yolo()(str(checkpoint)).model.model
    layers = [
        *range(len(net.features) - 1),
        len(net.features),
    ]  # the detector has one layer more before the last
    for mine, theirs in enumerate(layers):
        net.features[mine].load_state_dict(detector[theirs].state_dict())


def train(args: argparse.Namespace) -> None:
    """Trains within a time budget, class-balanced, and writes half-precision weights with their figures."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    sets = [np.load(path) for path in args.crops]
    crops, classes = (np.concatenate([kept[key] for kept in sets]) for key in ("crops", "classes"))
    by_class = [np.flatnonzero(classes == index) for index in range(len(PARTS))]
    by_class = [rows for rows in by_class if len(rows)]
    kind, px, context = NETS[args.net]
    net = kind()
    if args.start is not None and args.start.is_dir():
        net.load_state_dict(read_weights(args.start / WEIGHTS_FILE))
    elif args.start is not None and isinstance(net, CriticNet):
        start_from_detector(net, args.start)
    elif args.start is not None and isinstance(net, JudgeNet):
        start_from_imagenet(net, args.start)
    if isinstance(net, JudgeNet):
        net.freeze_early()
    net = net.to(device).to(memory_format=torch.channels_last)
    average = AveragedWeights(net, 0.998)
    learning = [weights for weights in net.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=args.rate, weight_decay=0.05)
    budget, step = Budget(args.minutes), 0
    while budget.progress < 1:
        set_learning_rate(optimizer, budget.learning_rate(args.rate))
        rows = np.concatenate([rng.choice(rows, args.batch // len(by_class)) for rows in by_class])
        wanted = torch.from_numpy(np.isin(classes[rows], (1, 3)).astype(np.float32)).to(device)
        pixels = _augmented(crops[rows], rng).to(device, memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            logits = net.train()(pixels)[:, 0].float()
        # Smoothed targets keep the probabilities usable as a threshold, and the gradients alive.
        loss = F.binary_cross_entropy_with_logits(logits, wanted * 0.96 + 0.02)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(net)
        step += 1
        if step % 100 == 0:
            print(f"{budget.progress:5.1%} step {step} loss {loss.item():.4f}", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    state = average.module.state_dict()
    save_file(
        {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()},
        args.out / WEIGHTS_FILE,
    )
    config = {"input_px": px, "context": context, "threshold": args.threshold, "shifts": {}}
    (args.out / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    measure(args)


def measure(args: argparse.Namespace) -> None:
    """Prints the figures of the weights in ``--out`` on the crops of ``--select``, at their own threshold."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = NETS[args.net][0]().eval().to(device)
    net.load_state_dict(read_weights(args.out / WEIGHTS_FILE))
    threshold = json.loads((args.out / CONFIG_FILE).read_text())["threshold"]
    kept = np.load(args.select)
    found = figures(scores(net, kept["crops"], device), kept["classes"], threshold)
    print(json.dumps({"threshold": threshold} | found), flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("crops")
    first.add_argument("--data", type=Path, required=True)
    first.add_argument("--autoencoder", type=Path, required=True)
    first.add_argument("--generator", type=Path)
    first.add_argument("--as-they-are", action="store_true", help="no textures and no smears: generated ones")
    first.add_argument("--photos", type=Path)
    first.add_argument("--out", type=Path, required=True)
    first.add_argument("--repeat", type=int, default=2, help="crops of each malformed part")
    first.add_argument(
        "--copies", type=int, default=1, help="times that the whole set is cut, each in its way"
    )
    first.add_argument("--seed", type=int, required=True)
    first.set_defaults(run=cut)
    second = commands.add_parser("train")
    second.add_argument("--crops", type=Path, nargs="+", required=True)
    second.add_argument(
        "--start", type=Path, help="weights to go on from: a folder's, or those of YOLO26n or ImageNet"
    )
    second.add_argument("--minutes", type=float, default=8)
    second.add_argument("--bf16", action="store_true", help="mixed precision, on a CPU with avx512_bf16")
    second.add_argument("--batch", type=int, default=64)
    second.add_argument("--rate", type=float, default=2e-3)
    second.add_argument("--threshold", type=float, default=0.5, help="stored beside the weights")
    second.add_argument("--seed", type=int, required=True)
    second.set_defaults(run=train)
    third = commands.add_parser("measure")
    third.set_defaults(run=measure)
    for command in (second, third):
        command.add_argument("--select", type=Path, required=True, help="crops to measure on")
        command.add_argument("--out", type=Path, required=True, help="folder of the weights")
    for command in (first, second, third):
        command.add_argument("--net", choices=list(NETS), required=True)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
