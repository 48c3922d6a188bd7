"""Which model names OpenAI's clients may use."""

from __future__ import annotations

from typing import Any

from service.core.errors import NotFound
from service.jobs.records import WorkerFacts

OWN_NAME = "anatomend"
_ALIASES = ("dall-e-", "gpt-image-", "chatgpt-image-")
"""Names that clients send because they know no others: all mean the one model that is loaded."""


def models_of(worker: WorkerFacts) -> list[dict[str, Any]]:
    """The names to choose from; each means the generator that is loaded."""
    return [
        # When a model was made is not known; their type demands a number.
        {"id": name, "object": "model", "created": 0, "owned_by": OWN_NAME}
        for name in _names(worker)
    ]


def check_model(name: str | None, worker: WorkerFacts) -> None:
    """Whether a name means the generator that is loaded.

    Raises:
        NotFound: ``model_not_found``, with the names there are.
    """
    if name is not None and not name.startswith(_ALIASES) and name not in _names(worker):
        raise NotFound(f"no model {name!r}", code="model_not_found", allowed=_names(worker))


def _names(worker: WorkerFacts) -> list[str]:
    cards = [card for card in worker.models if card.get("role") == "generator"]
    return [OWN_NAME, *(str(card["id"]) for card in cards)]
