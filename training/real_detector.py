"""Trains the detector on real pictures and renders together, each at its own size.

``python -m training.real_detector --start models/detector/detector.pt --generated DIR --photos DIR/train
--renders DIR/train --out DIR --minutes 60``

A step sees a few crops of real pictures, some photographs among them, and a few renders; the loss counts a
class only in pictures that are labelled for it (``training.real_pictures``). A run that was cut short goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detectors.body_parts import CLASS_NAMES
from detectors.yolo_library import trainable
from training.anatomy.world import shards
from training.detector import without_traces
from training.real_pictures import HAND, MALFORMED_HAND, Crop, Labelled, read_generated, read_photos, renders
from training.schedule import AveragedWeights, Budget

STATE = "state.pt"
PHOTO_SHARE = 0.2
BARE_SHARE = 0.1
"""Of the crops: from pictures in which no hand is labelled."""
SAVE_STEPS = 20
STRIDES = (8, 16, 32)


class PartlyLabelled(nn.Module):
    """Binary cross-entropy, (B, anchors, classes), with what a picture does not tell left out."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Tensor | None = None
        """Broadcast to (B, anchors, classes): 1 where the loss counts."""

    def forward(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """The loss, 0 where a class is not labelled, unless something is assigned there."""
        loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return loss if self.counts is None else loss * torch.maximum(self.counts, (wanted > 0).float())


def counting(crops: Sequence[Crop]) -> Tensor:
    """Returns which cells of a batch of equally large crops count: float32 (B, anchors, classes)."""
    px = crops[0].image.shape[0]
    centres = []
    for stride in STRIDES:
        line = (torch.arange(px // stride) + 0.5) * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        centres.append(torch.stack([x.flatten(), y.flatten()], 1))
    places = torch.cat(centres)
    known = torch.from_numpy(np.stack([crop.known for crop in crops])).float()
    counts = known[:, None].repeat(1, len(places), 1)
    for row, crop in enumerate(crops):
        for x1, y1, x2, y2 in crop.doubtful:
            inside = (places[:, 0] >= x1) & (places[:, 0] < x2) & (places[:, 1] >= y1) & (places[:, 1] < y2)
            counts[row, inside, HAND] = counts[row, inside, MALFORMED_HAND] = 0.0
    return counts


def to_batch(crops: Sequence[Crop], rng: np.random.Generator) -> dict[str, Tensor]:
    """Equally large crops as the library's loss takes them, their colours changed a little."""
    px = crops[0].image.shape[0]
    pixels = torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2).float() / 255
    gain = torch.from_numpy(rng.uniform(0.75, 1.25, (len(crops), 3, 1, 1)).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.1, 0.1, (len(crops), 1, 1, 1)).astype(np.float32))
    grey = torch.from_numpy(rng.random((len(crops), 1, 1, 1)) < 0.1)
    pixels = torch.where(grey, pixels.mean(1, keepdim=True), pixels)
    xyxy = np.concatenate([crop.xyxy for crop in crops]) / px
    return {
        "img": (pixels * gain + shift).clamp(0, 1).contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(np.repeat(np.arange(len(crops)), [len(c.xyxy) for c in crops])).float(),
        "cls": torch.from_numpy(np.concatenate([crop.classes for crop in crops])).float()[:, None],
        "bboxes": torch.from_numpy(
            np.column_stack([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]])
        ).float(),
    }


def real_crops(
    generated: Sequence[Labelled], photos: Sequence[Labelled], px: int, rng: np.random.Generator
) -> Iterator[Crop]:
    """Crops without end: generated pictures with hands, some without, and photographs."""
    full = [one for one in generated if not one.is_bare]
    bare = [one for one in generated if one.is_bare] or full
    kinds, odds = (photos or full, bare, full), (PHOTO_SHARE, BARE_SHARE, 1 - PHOTO_SHARE - BARE_SHARE)
    while True:
        chosen = kinds[int(rng.choice(3, p=odds))]
        yield chosen[int(rng.integers(len(chosen)))].crop(px, rng)


class Run:
    """A network in training: its optimizer, its averaged weights, what it saves and takes up again."""

    def __init__(self, network: Any, rate: float, freeze: int) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)
        # Normalisation keeps its statistics (eval): a batch is small and of one kind of picture.
        for layer in network.model[:freeze]:
            layer.requires_grad_(False)
        network.model[-1].training = True
        head = {id(weight) for weight in network.model[-1].parameters()}
        learning = [weight for weight in network.parameters() if weight.requires_grad]
        groups = [[w for w in learning if (id(w) in head) is is_head] for is_head in (True, False)]
        self.optimizer = torch.optim.AdamW(
            [{"params": g, "peak": peak} for g, peak in zip(groups, (rate, rate / 3), strict=True)],
            lr=rate, weight_decay=5e-4,
        )  # fmt: skip
        self.bce = PartlyLabelled()
        network.criterion = network.init_criterion()
        for head_loss in (network.criterion.one2many, network.criterion.one2one):
            head_loss.bce = self.bce
        network.criterion.o2m = network.criterion.o2o = 0.5
        self.average = AveragedWeights(network, 0.995)
        self.done, self.step = 0.0, 0

    def learn(self, batches: Sequence[tuple[Sequence[Crop], dict[str, Tensor]]], pace: float) -> float:
        """One step over batches of crops of one size each; their mean loss by picture."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * pace
        count = sum(len(crops) for crops, _ in batches)
        total = 0.0
        for crops, batch in batches:
            self.bce.counts = counting(crops)
            loss = self.network.loss(batch)[0].sum() * len(crops) / count
            loss.backward()
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.network)
        self.step += 1
        return total

    def save(self, path: Path, done: float) -> None:
        """Writes everything needed to go on, whole or not at all."""
        kept = {
            "network": self.network.state_dict(), "average": self.average.module.state_dict(),
            "optimizer": self.optimizer.state_dict(), "done": done, "step": self.step,
        }  # fmt: skip
        torch.save(kept, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def take_up(self, path: Path) -> None:
        """Goes on from what ``save`` wrote."""
        kept = torch.load(path, weights_only=True)
        self.network.load_state_dict(kept["network"])
        self.average.module.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.done, self.step, self.average.steps = kept["done"], kept["step"], kept["step"]


def export(network: Any, start: Path, out: Path) -> None:
    """Writes the averaged weights as an ultralytics file, in half precision, without traces."""
    kept = torch.load(start, map_location="cpu", weights_only=False)
    model = (kept.get("ema") or kept["model"]).float()
    model.load_state_dict(network.state_dict())
    unfinished = out.with_suffix(".part")
    torch.save({"model": model, "version": kept.get("version")}, unfinished)
    without_traces(unfinished, out)
    unfinished.unlink()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("start", "generated", "renders", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--extra", type=Path, help="people and wrists by picture, JSON")
    parser.add_argument("--minutes", type=float, required=True)
    for name, value in (("px", 416), ("batch", 8), ("render-batch", 6), ("freeze", 3), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(trainable(str(args.start)), args.rate, args.freeze)
    if tuple(run.network.names.values()) != CLASS_NAMES:
        raise SystemExit(f"{args.start} has the classes {run.network.names}, wanted are {CLASS_NAMES}")
    if (args.out / STATE).exists():
        run.take_up(args.out / STATE)
    rng = np.random.default_rng([args.seed, run.step])
    photos = read_photos(args.photos) if args.photos is not None else []
    real = real_crops(read_generated(args.generated, "train", args.extra), photos, args.px, rng)
    rendered = renders(args.renders, rng)
    budget, before = Budget(args.minutes * (1 - run.done)), run.done
    while budget.progress < 1:
        groups = [[next(real) for _ in range(args.batch)]]
        if next(shards(args.renders), None) is not None:  # they may still be in the making
            groups.append([next(rendered) for _ in range(args.render_batch)])
        done = before + (1 - before) * budget.progress
        pace = min(1.0, (run.step + 1) / 20) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
        loss = run.learn([(crops, to_batch(crops, rng)) for crops in groups], float(pace))
        if run.step % 5 == 0:
            print(json.dumps({"done": round(done, 3), "step": run.step, "loss": round(loss, 3)}), flush=True)
        if run.step % SAVE_STEPS == 0:
            run.save(args.out / STATE, done)
    run.save(args.out / STATE, 1.0)
    export(run.average.module, args.start, args.out / "detector.pt")


if __name__ == "__main__":
    main()
