"""Memory use of the graphics cards."""

from __future__ import annotations

import logging
import sys
from typing import Any

from service.jobs.records import Json

_log = logging.getLogger(__name__)


def gpu_memory() -> tuple[Json, ...]:
    """Returns the bytes in use on each card of this process; empty if torch is not loaded or uses no card."""
    torch = sys.modules.get("torch")  # never import torch here: the stand-in for models runs without it
    if torch is None or not torch.cuda.is_initialized():
        return ()
    try:
        return _cards(torch)
    except RuntimeError as error:  # a failing card fails the job; the worker still lives
        _log.warning("the card does not tell its memory: %s", error)
        return ()


def _cards(torch: Any) -> tuple[Json, ...]:
    cards = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        cards.append(
            {
                "device": f"cuda:{index}",
                "total_bytes": total,
                "used_bytes": total - free,
                "allocated_bytes": torch.cuda.memory_allocated(index),
                "reserved_bytes": torch.cuda.memory_reserved(index),
            }
        )
    return tuple(cards)
