"""Trains the bundled detector from COCO weights: first the set, then the training.

``python -m training.detector prepare --data DIR/train --autoencoder DIR --photos DIR/train --out DIR``
``python -m training.detector train --set DIR --start yolo26n.pt --out models/detector --minutes 30``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from tqdm import tqdm

from detectors.body_parts import CLASS_NAMES
from detectors.yolo_library import import_yolo
from service.diffusion.precision import in_bfloat16, wants_bfloat16
from training import yolo_callbacks
from training.anatomy.world import read_shard, shards
from training.smears import with_smears
from training.textures import RENOISE_STRENGTHS, read_picture, renoise, round_trip, spoil

BATCH = 25
TEXTURE_ODDS = {"render": 0.85, "autoencoder": 0.15}
TEXTURE_ODDS_WITH_GENERATOR = {"render": 0.45, "autoencoder": 0.2, "generator": 0.35}
DEFAULTS = {
    "imgsz": 256,
    "iou": 0.6,
    "conf": {
        "malformed_hand": 0.4,
        "malformed_limb": 0.4,
        "hand": 0.3,
        "limb": 0.3,
        "person": 0.4,
        "horse": 0.4,
    },
}


def label_line(part: dict[str, Any], size_px: int) -> str:
    """One line of a YOLO label file: class, then centre and size as shares of the picture."""
    x1, y1, x2, y2 = (v / size_px for v in part["xyxy"])
    name = CLASS_NAMES.index(part["class_name"])
    return f"{name} {(x1 + x2) / 2:.5f} {(y1 + y2) / 2:.5f} {x2 - x1:.5f} {y2 - y1:.5f}\n"


def read_labels(path: Path, size_px: int) -> list[dict[str, Any]]:
    """The parts of a YOLO label file: class names and xyxy in pixels."""
    parts = []
    for line in path.read_text().splitlines():
        index, x, y, w, h = (float(v) for v in line.split())
        box = [(x - w / 2) * size_px, (y - h / 2) * size_px, (x + w / 2) * size_px, (y + h / 2) * size_px]
        parts.append({"class_name": CLASS_NAMES[int(index)], "xyxy": box})
    return parts


def read_photographs(folder: Path) -> list[tuple[NDArray[np.uint8], list[dict[str, Any]]]]:
    """Pictures and parts of one split that ``training.anatomy.photos`` wrote."""
    found = []
    for path in sorted((folder / "images").iterdir()):
        picture = read_picture(path)
        found.append((picture, read_labels(folder / "labels" / f"{path.stem}.txt", picture.shape[0])))
    return found


def describe_set(folder: Path, train: str, val: str) -> Path:
    """Writes ``set.yaml``, by which ultralytics finds a set's pictures and the names of its classes."""
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASS_NAMES))
    path = folder / "set.yaml"
    path.write_text(f"path: {folder.resolve()}\ntrain: {train}\nval: {val}\nnames:\n{names}")
    return path


class Textures:
    """Applies one of the textures to a batch of renders."""

    def __init__(self, autoencoder: Path, generator: Path | None) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._autoencoder = AutoencoderTiny.from_pretrained(autoencoder).float().to(self._device)
        self._pipeline: StableDiffusionPipeline | None = None
        if generator is not None:
            pipeline = StableDiffusionPipeline.from_pretrained(generator, torch_dtype=torch.float32)
            pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
            if wants_bfloat16("auto", self._device):
                in_bfloat16(pipeline.unet)
            self._pipeline = pipeline.to(self._device)

    def apply(
        self, pictures: NDArray[np.uint8], lines: list[dict[str, Any]], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """The batch in one texture chosen by ``rng``."""
        odds = TEXTURE_ODDS if self._pipeline is None else TEXTURE_ODDS_WITH_GENERATOR
        kind = str(rng.choice(list(odds), p=list(odds.values())))
        if kind == "render":
            return pictures
        if kind == "autoencoder":
            return round_trip(self._autoencoder, pictures, self._device)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        strength = float(rng.uniform(*RENOISE_STRENGTHS))
        return renoise(self._pipeline, pictures, [line["caption"] for line in lines], strength, generator)


@dataclass(frozen=True, slots=True)
class _Job:
    """One shard to be written as pictures and labels.

    Each picture is written ``repeat`` times, spoilt in other ways, or as often as ``often`` says for a
    defect in it (``leg missing``).
    """

    path: Path
    images: Path
    labels: Path
    seed: tuple[int, int]
    repeat: int
    often: Mapping[str, int]

    def copies(self, parts: Sequence[Mapping[str, Any]]) -> int:
        """Returns the number of times that a picture of these parts is written."""
        defects = [f"{part.get('kind', '')} {part['defect']}" for part in parts]
        return max([self.repeat, *(self.often.get(defect, 0) for defect in defects)])


_textures: Any = None


def _start(autoencoder: Path, generator: Path | None, as_they_are: bool) -> None:
    global _textures  # one set of models per worker process, made once
    _textures = None if as_they_are else Textures(autoencoder, generator)


def prepare(args: argparse.Namespace) -> None:
    """Writes pictures and labels in ultralytics' layout; finished shards are kept."""
    images, labels = args.out / "images" / args.split, args.out / "labels" / args.split
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    paths = list(shards(args.data))[: args.limit]
    often = {defect: int(times) for defect, times in (one.split("=") for one in args.often)}
    jobs = [
        _Job(path, images, labels, (args.seed, number), args.repeat, often)
        for number, path in enumerate(paths)
    ]
    start = (args.autoencoder, args.generator, args.as_they_are)
    workers = get_context("spawn").Pool(args.workers, _start, start)
    with workers, tqdm(total=len(jobs), unit="shards") as bar:
        for _ in workers.imap_unordered(_prepare_shard, jobs):
            bar.update()
    if args.photos is not None:
        _add_photos(args.photos, images, labels)
    describe_set(args.out, "images/train", "images/train")


def _prepare_shard(job: _Job) -> None:
    done = job.labels / f".{job.path.stem}.done"
    if done.exists():
        return
    rng = np.random.default_rng(job.seed)
    pictures, lines = read_shard(job.path)
    for start in range(0, len(lines), BATCH):
        rows = slice(start, start + BATCH)
        batch, truth = pictures[rows], lines[rows]
        if _textures is not None:
            smeared, truth = with_smears(batch, truth, rng)
            batch = _textures.apply(smeared, truth, rng)
        for picture, line in zip(batch, truth, strict=True):
            for again in range(job.copies(line["parts"])):
                _write_pair(
                    job, f"{job.path.stem}-{line['seed']}-{again}", spoil(picture, rng), line["parts"]
                )
    done.touch()


def _write_pair(job: _Job, name: str, picture: NDArray[np.uint8], parts: list[dict[str, Any]]) -> None:
    cv2.imwrite(str(job.images / f"{name}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    lines = (label_line(part, picture.shape[0]) for part in parts)
    (job.labels / f"{name}.txt").write_text("".join(lines))


def _add_photos(photos: Path, images: Path, labels: Path) -> None:
    """Puts the photographs of a split, made by ``training.anatomy.photos``, beside the renders."""
    for picture in sorted((photos / "images").iterdir()):
        shutil.copyfile(picture, images / f"photo-{picture.name}")
        shutil.copyfile(photos / "labels" / f"{picture.stem}.txt", labels / f"photo-{picture.stem}.txt")


def without_traces(trained: Path, out: Path) -> None:
    """Copies a checkpoint without where and on what machine it was trained, in half precision."""
    kept = torch.load(trained, map_location="cpu", weights_only=False)
    model = kept.get("ema") or kept["model"]
    plain = {"task": "detect", "imgsz": DEFAULTS["imgsz"]}
    model.args = dict(plain)
    model.pt_path = out.name
    torch.save({"model": model.half(), "train_args": plain, "version": kept.get("version")}, out)


def train(args: argparse.Namespace) -> None:
    """Fine-tunes and writes ``detector.pt`` and ``defaults.json``."""
    os.environ.setdefault("WANDB_DISABLED", "true")
    model = import_yolo()(str(args.start))
    model.add_callback("on_train_batch_end", yolo_callbacks.CosineByBatch(args.rate))
    model.add_callback("on_pretrain_routine_end", yolo_callbacks.without_validation)
    if args.bf16:
        model.add_callback("on_pretrain_routine_end", yolo_callbacks.in_bfloat16)
    model.train(
        data=str(args.set / "set.yaml"), imgsz=DEFAULTS["imgsz"], epochs=args.epochs,
        time=args.minutes and args.minutes / 60,
        batch=args.batch, workers=args.workers, cache="ram" if args.cache else False, amp=args.amp,
        freeze=args.freeze,
        optimizer="AdamW", lr0=args.rate, lrf=1.0, warmup_epochs=0.1, weight_decay=5e-4,
        mosaic=0.0, degrees=12.0, translate=0.08, scale=0.2, fliplr=0.5, hsv_h=0.02, hsv_s=0.4, hsv_v=0.3,
        erasing=0.0, auto_augment=None, val=False, plots=False, seed=args.seed, deterministic=False,
        project=str(args.out.resolve()), name="run", exist_ok=True, verbose=True, device=args.device,
    )  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)
    without_traces(args.out / "run" / "weights" / "last.pt", args.out / "detector.pt")
    (args.out / "defaults.json").write_text(json.dumps(DEFAULTS, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("prepare")
    first.add_argument("--data", type=Path, required=True)
    first.add_argument("--split", choices=("train", "select"), default="train")
    first.add_argument("--autoencoder", type=Path, required=True)
    first.add_argument("--generator", type=Path)
    first.add_argument("--photos", type=Path, help="one split of training.anatomy.photos' output")
    first.add_argument("--out", type=Path, required=True)
    first.add_argument("--limit", type=int, help="shards at most")
    first.add_argument("--as-they-are", action="store_true", help="no textures and no smears: generated ones")
    first.add_argument("--repeat", type=int, default=1, help="copies of each picture")
    first.add_argument(
        "--often", nargs="*", default=[], metavar="'LIMB DEFECT=TIMES'",
        help="more copies of the pictures with a defect that is hard to see, 'leg missing=5'",
    )  # fmt: skip
    first.add_argument("--workers", type=int, default=1)
    first.add_argument("--seed", type=int, default=0)
    first.set_defaults(run=prepare)
    second = commands.add_parser("train")
    second.add_argument("--set", type=Path, required=True)
    second.add_argument("--start", type=Path, required=True, help="weights to start from")
    second.add_argument("--out", type=Path, required=True)
    second.add_argument("--epochs", type=int, default=4)
    second.add_argument("--minutes", type=float, help="as many epochs as fit into so much time, instead")
    second.add_argument("--batch", type=int, default=32)
    second.add_argument("--amp", action="store_true", help="mixed precision, on a GPU")
    second.add_argument("--bf16", action="store_true", help="mixed precision, on a CPU with avx512_bf16")
    second.add_argument("--rate", type=float, default=1.5e-3)
    second.add_argument("--freeze", type=int, default=0, help="first layers kept as they are, for speed")
    second.add_argument("--workers", type=int, default=1)
    second.add_argument("--cache", action="store_true")
    second.add_argument("--device", default="0" if torch.cuda.is_available() else "cpu")
    second.add_argument("--seed", type=int, default=0)
    second.set_defaults(run=train)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
