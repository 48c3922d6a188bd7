"""The syntax of ADetailer's prompts: ``[SEP]``, ``[SKIP]`` and ``[PROMPT]``."""

from __future__ import annotations

import re
from typing import Any

from service.core.limits import MAX_REGIONS

_SEPARATOR = re.compile(r"\s*\[SEP\]\s*")
_OWN, _SKIP = "[PROMPT]", "[SKIP]"


def in_order(prompts: tuple[str, str], own: tuple[str, str]) -> dict[str, Any]:
    """Returns a unit's prompt and negative prompt by region, in the form of ``RepairParams``.

    The parts between ``[SEP]`` are for the regions in their order, the last one for all that follow. An empty
    part is the picture's own prompt, as is ``[PROMPT]`` in a longer one; ``[SKIP]`` skips a region.

    Args:
        prompts: ``ad_prompt`` and ``ad_negative_prompt``.
        own: the picture's own prompt and negative prompt.
    """
    if not any(text.strip() for text in prompts):
        return {}
    positive, negative = (_SEPARATOR.split(text.strip())[:MAX_REGIONS] for text in prompts)
    return {
        "in_order": [
            _settings(_at(positive, place), _at(negative, place), own)
            for place in range(max(len(positive), len(negative)))
        ]
    }


def _at(parts: list[str], place: int) -> str:
    return parts[min(place, len(parts) - 1)]


def _settings(prompt: str, negative_prompt: str, own: tuple[str, str]) -> dict[str, str] | None:
    if prompt == _SKIP:
        return None
    asked = {
        "prompt": prompt.replace(_OWN, own[0]),
        "negative_prompt": negative_prompt.replace(_OWN, own[1]),
    }
    return {name: text for name, text in asked.items() if text}
