"""The card of a loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.core.model_limits import ModelLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One loaded model, in the words of ``GET /models``.

    Attributes:
        role: ``generator``, ``inpainter``, ``detector`` or ``critic``.
        id: name and hash, as written in every report.
        source: where it was loaded from: ``bundled``, a path or a hub id.
        family: the pipeline or network class.
        native_size_hw: height and width in pixels that the model works at; None if it takes any.
        defaults: what is used where a request says nothing.
        limits: what it can be asked for; None if it draws nothing.
    """

    role: str
    id: str
    source: str
    family: str
    native_size_hw: tuple[int, int] | None
    defaults: Mapping[str, object]
    limits: ModelLimits | None = None
