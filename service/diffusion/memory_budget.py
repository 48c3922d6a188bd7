"""How much memory a batch takes, measured on something small, so that large ones can be split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BATCH_BYTES = 2 * 2**30
"""What a batch may take where nobody says."""
ALIVE_AT_ONCE = 6
"""So many of the largest activation are alive together at the most; the rest of a network is smaller."""


class Meter:
    """Bytes that were counted."""

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
    """Calls something as for a gradient, and tells how many bytes would be kept for going back.

    None of them is: the result has no gradient.
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
    """How many of so many bytes each fit into a budget; one always does."""
    return max(1, int(budget // each)) if each > 0 else 2**31
