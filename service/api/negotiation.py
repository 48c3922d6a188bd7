"""Which of two forms a client wants, by its Accept header."""

from __future__ import annotations

JSON = "application/json"
PNG = "image/png"


def prefers_png(accept: str) -> bool:
    """Whether ``accept`` ranks a PNG above JSON. JSON is what those get who do not say."""
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
    """The most specific entry counts, as RFC 9110 says."""
    kind = media_type.partition("/")[0]
    for pattern in (media_type, f"{kind}/*", "*/*"):
        if pattern in weights:
            return weights[pattern]
    return 0.0
