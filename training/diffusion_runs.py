"""Training loop, checkpoints and export, the same for the generator and the inpainter."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from training.autoencoder import forget_derived
from training.schedule import Budget, set_learning_rate

SAVE_EVERY_S = 150


class Trainee(Protocol):
    """A model in training: it is trained step by step and saved on the way."""

    seen: int
    """Samples it was trained on."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer; its learning rate is set before each step."""
        ...

    def step(self, size: int, bf16: bool) -> torch.Tensor:
        """Trains one step on ``size`` samples and returns the loss, a scalar without a gradient."""
        ...

    def save(self, path: Path) -> None:
        """Writes a checkpoint."""
        ...


def odds_by_kind(kinds: Sequence[str], wanted: Mapping[str, float]) -> NDArray[np.float64]:
    """Returns each sample's probability, (N,): a kind's share does not depend on how many it has."""
    counts = Counter(kinds)
    shares = np.array([wanted[kind] / counts[kind] for kind in kinds])
    return np.asarray(shares / shares.sum(), np.float64)


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Writes a checkpoint whole or not at all."""
    torch.save(dict(state), path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def train(
    trainee: Trainee, checkpoint: Path, minutes: float, rate: float, batch: int, bf16: bool, log_every: int
) -> None:
    """Trains for ``minutes``; prints the loss every ``log_every`` steps, saves on the way and at the end."""
    budget, saved, losses = Budget(minutes), time.monotonic(), list[torch.Tensor]()
    while budget.progress < 1:
        set_learning_rate(trainee.optimizer, budget.learning_rate(rate))
        losses.append(trainee.step(batch, bf16))
        if len(losses) == log_every or budget.progress >= 1:
            loss = float(torch.stack(losses).mean())
            print(f"{budget.progress:5.1%} seen {trainee.seen} loss {loss:.4f}", flush=True)
            losses = []
        if time.monotonic() - saved > SAVE_EVERY_S:
            trainee.save(checkpoint)
            saved = time.monotonic()
    trainee.save(checkpoint)


def export(pipeline: Any, defaults: Mapping[str, object], out: Path) -> None:
    """Writes a pipeline as a folder that diffusers and the service load."""
    pipeline.save_pretrained(out, max_shard_size="15MB")
    forget_derived(out / "vae" / "config.json")
    (out / "anatomend.json").write_text(json.dumps(defaults, indent=2) + "\n")
