"""How much of the graphics card's memory is taken."""

from __future__ import annotations

import logging
import sys
from typing import Any

from service.jobs.records import Json

_log = logging.getLogger(__name__)


def gpu_memory() -> tuple[Json, ...]:
    """Bytes by card that this process works on; nothing where torch is not loaded or has no card in use."""
    torch = sys.modules.get("torch")  # never the one to load it: the stand-in for models runs without
    if torch is None or not torch.cuda.is_initialized():
        return ()
    try:
        return _cards(torch)
    except RuntimeError as error:  # a card that fails is the job's trouble; the worker still lives
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
