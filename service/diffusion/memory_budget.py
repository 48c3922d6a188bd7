"""Memory needs of a batch, measured on a small example, so that large batches can be split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BATCH_BYTES = 2 * 2**30
"""Default memory limit of a batch, in bytes."""
ALIVE_AT_ONCE = 6
"""Largest number of activations of the largest size that are in memory together; the others are smaller."""


class Meter:
    """A count of bytes."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def largest_activation(networks: Iterable[nn.Module]) -> Iterator[Meter]:
    """Finds the largest output of any layer, of the whole batch, inside the ``with``."""
    meter = Meter()

    def weigh(_layer: nn.Module, _args: object, output: Any) -> None:
        if isinstance(output, Tensor):
            meter.bytes = max(meter.bytes, output.nbytes)

    layers = [layer for network in networks for layer in network.modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(weigh) for layer in layers]
    try:
        yield meter
    finally:
        for handle in handles:
            handle.remove()


def weighed_graph(call: Callable[[], Any]) -> tuple[Any, int]:
    """Calls a function and returns its result and the number of bytes that a backward pass would keep.

    The bytes are not kept, so the result cannot be differentiated.
    """
    kept = 0

    def pack(tensor: Tensor) -> None:
        nonlocal kept
        kept += tensor.nbytes

    def unpack(_nothing: None) -> Tensor:
        raise RuntimeError("this graph was only weighed")

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = call()
    return result, kept


def fitting(budget: int, each: float) -> int:
    """Returns the number of items of ``each`` bytes that fit into a budget; at least 1."""
    return max(1, int(budget // each)) if each > 0 else 2**31
