"""What a loaded model can be asked for; told in its card, so that a wish can be refused before it waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What one model takes.

    Attributes:
        size_step_px: widths and heights are multiples of it, in pixels, and not less.
        min_steps: fewest denoising steps at full strength.
        max_steps: most of them; None if its scheduler sets no limit.
    """

    size_step_px: int = 8
    min_steps: int = 1
    max_steps: int | None = None

    @property
    def least_strength(self) -> float:
        """Share of its schedule that is one step, where steps are limited; 0 where they are not."""
        return 0.0 if self.max_steps is None else 1.0 / self.max_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What the two roles take.

    Attributes:
        generator: makes pictures.
        redraws: repairs them; the generator itself where nothing else does.
    """

    generator: ModelLimits = ModelLimits()
    redraws: ModelLimits = ModelLimits()

    @classmethod
    def of_cards(cls, cards: Sequence[Mapping[str, Any]]) -> EngineLimits:
        """As the cards of the loaded models tell, in JSON; the usual ones where they do not."""
        told = {card["role"]: ModelLimits(**card["limits"]) for card in cards if card.get("limits")}
        generator = told.get("generator", ModelLimits())
        return cls(generator=generator, redraws=told.get("inpainter", generator))
