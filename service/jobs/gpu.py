"""How much of the graphics card's memory is taken."""

from __future__ import annotations

import sys

from service.jobs.records import Json


def gpu_memory() -> tuple[Json, ...]:
    """Bytes by card that this process works on; nothing where torch is not loaded or has no card in use."""
    torch = sys.modules.get("torch")  # never the one to load it: the stand-in for models runs without
    if torch is None or not torch.cuda.is_initialized():
        return ()
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
