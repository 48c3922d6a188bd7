"""Model names that OpenAI's clients may use."""

from __future__ import annotations

from typing import Any

from service.core.errors import NotFound
from service.jobs.records import WorkerFacts

OWN_NAME = "anatomend"
_ALIASES = ("dall-e-", "gpt-image-", "chatgpt-image-")
"""Prefixes of names that are hard-coded in clients: all mean the one loaded model."""


def models_of(worker: WorkerFacts) -> list[dict[str, Any]]:
    """Returns the accepted names; each means the loaded generator."""
    return [
        # The creation time of a model is unknown; OpenAI's type requires a number.
        {"id": name, "object": "model", "created": 0, "owned_by": OWN_NAME}
        for name in _names(worker)
    ]


def check_model(name: str | None, worker: WorkerFacts) -> None:
    """Checks that a name means the loaded generator.

    Raises:
        NotFound: ``model_not_found``, with the accepted names.
    """
    if name is not None and not name.startswith(_ALIASES) and name not in _names(worker):
        raise NotFound(f"no model {name!r}", code="model_not_found", allowed=_names(worker))


def _names(worker: WorkerFacts) -> list[str]:
    cards = [card for card in worker.models if card.get("role") == "generator"]
    return [OWN_NAME, *(str(card["id"]) for card in cards)]
