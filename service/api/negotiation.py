"""Content negotiation: the form of an answer, and whether the client waits for it, by its headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

JSON = "application/json"
PNG = "image/png"


def prefers_png(accept: str) -> bool:
    """Returns True if ``accept`` ranks a PNG above JSON; JSON is the default."""
    weights = _weights(accept)
    return _weight_of(PNG, weights) > _weight_of(JSON, weights)


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for entry in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        weights[media_type] = weight
    return weights


def _weight_of(media_type: str, weights: dict[str, float]) -> float:
    """Returns the weight of the most specific entry, as RFC 9110 requires."""
    kind = media_type.partition("/")[0]
    for pattern in (media_type, f"{kind}/*", "*/*"):
        if pattern in weights:
            return weights[pattern]
    return 0.0


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of a ``Prefer`` header (RFC 7240).

    Attributes:
        respond_async: an answer at once, however long the work takes.
        wait_s: the maximum wait for the work, in seconds; None if not given.
        keep_running: whether the work goes on if the client goes away.
    """

    respond_async: bool = False
    wait_s: float | None = None
    keep_running: bool = False


def preferences_of(headers: Mapping[str, str]) -> Preferences:
    """Parses ``Prefer``; unknown preferences are ignored, as the standard requires."""
    wishes: dict[str, str] = {}
    for entry in headers.get("prefer", "").lower().split(","):
        name, _, value = entry.partition(";")[0].partition("=")
        wishes.setdefault(name.strip(), value.strip().strip('"'))
    wait = wishes.get("wait", "")
    return Preferences(
        respond_async="respond-async" in wishes,
        wait_s=float(wait) if wait.isdecimal() else None,
        keep_running="keep-running" in wishes,
    )
