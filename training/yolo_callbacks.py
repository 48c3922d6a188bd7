"""Callbacks that change the library's trainer: learning rate, validation, precision."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from training.schedule import set_learning_rate


class CosineByBatch:
    """Lowers the learning rate after every batch along a half cosine, to a fiftieth of its peak.

    The library's own schedule goes by epochs, and on a CPU one or two have to do. A run that is bounded by
    time goes by the time.
    """

    def __init__(self, peak: float, floor: float = 0.02) -> None:
        self._peak, self._floor = peak, floor
        self._batches = 0

    def __call__(self, trainer: Any) -> None:
        """Called by the library's trainer."""
        self._batches += 1
        if trainer.args.time:
            done = (time.time() - trainer.train_time_start) / (trainer.args.time * 3600)
        else:
            done = self._batches / (trainer.epochs * len(trainer.train_loader))
        rate = self._peak * (self._floor + (1 - self._floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
        set_learning_rate(trainer.optimizer, rate)


def without_validation(trainer: Any) -> None:
    """Makes the library skip the validation after the last epoch: ``bench.detector`` measures."""
    trainer.validate = lambda: ({}, 0.0)
    trainer.final_eval = lambda: None
    trainer.read_results_csv = dict


def in_bfloat16(trainer: Any) -> None:
    """Runs the network, not the loss, in bfloat16 on a CPU; the library's mixed precision is for GPUs."""
    model = trainer.model.to(memory_format=torch.channels_last)
    plain = model.predict

    def predict(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            made = plain(*args, **kwargs)
        return _in_float32(made)

    model.predict = predict


def _in_float32(made: Any) -> Any:
    if isinstance(made, dict):
        return {name: _in_float32(value) for name, value in made.items()}
    if isinstance(made, list | tuple):
        return type(made)(_in_float32(value) for value in made)
    return made.float() if isinstance(made, torch.Tensor) else made
