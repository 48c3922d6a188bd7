"""The model card: facts about a loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.core.model_limits import ModelLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Facts about one loaded model, as ``GET /models`` returns them.

    Attributes:
        role: ``generator``, ``inpainter``, ``detector`` or ``critic``.
        id: name and hash, as written in every report.
        source: origin of the model: ``bundled``, a path or a hub id.
        family: the pipeline or network class.
        native_size_hw: native height and width in pixels; None if it takes any size.
        defaults: defaults for parameters that a request leaves out.
        limits: sizes and steps that it supports; None if it does not draw.
    """

    role: str
    id: str
    source: str
    family: str
    native_size_hw: tuple[int, int] | None
    defaults: Mapping[str, object]
    limits: ModelLimits | None = None
