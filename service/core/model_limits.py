"""Limits of a loaded model. They are part of its card, so that bad requests are refused before queueing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """The sizes and steps that one model supports.

    Attributes:
        size_step_px: unit of width and height in pixels; both are positive multiples of it.
        min_steps: least number of denoising steps at full strength.
        max_steps: largest number of denoising steps; None if the scheduler sets no limit.
    """

    size_step_px: int = 8
    min_steps: int = 1
    max_steps: int | None = None

    @property
    def least_strength(self) -> float:
        """Least strength, one step of the schedule, if steps are limited; 0 if they are not."""
        return 0.0 if self.max_steps is None else 1.0 / self.max_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """The limits of the two roles that draw.

    Attributes:
        generator: limits of the model that generates pictures.
        redraws: limits of the model that redraws regions; the generator's own if there is no inpainter.
    """

    generator: ModelLimits = ModelLimits()
    redraws: ModelLimits = ModelLimits()

    @classmethod
    def of_cards(cls, cards: Sequence[Mapping[str, Any]]) -> EngineLimits:
        """Reads the limits from the cards of the loaded models, in JSON; defaults fill the gaps."""
        told = {card["role"]: ModelLimits(**card["limits"]) for card in cards if card.get("limits")}
        generator = told.get("generator", ModelLimits())
        return cls(generator=generator, redraws=told.get("inpainter", generator))
