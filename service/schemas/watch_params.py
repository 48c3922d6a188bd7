"""How a picture is to be watched, as a request says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.core.runs import WatchParams
from service.core.validation import MAX_FRACTIONS, MAX_RESTARTS

_DEFAULT = WatchParams()

Fraction = Annotated[float, Field(gt=0, lt=1)]


class WatchBody(BaseModel):
    """How to watch."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fractions: list[Fraction] | None = Field(
        None,
        min_length=1,
        max_length=MAX_FRACTIONS,
        description="Shares of the run at which to look; those that the watch was fitted for if left out. "
        "Short runs get fewer looks.",
    )
    stop: bool = Field(_DEFAULT.stop, description="Whether to stop hopeless runs, or only to tell.")
    max_restarts: int = Field(
        _DEFAULT.max_restarts,
        ge=0,
        le=MAX_RESTARTS,
        description="So many more seeds while no run came through; the last one is finished in any case.",
    )
    in_flight: bool = Field(
        _DEFAULT.in_flight,
        description="Whether one small malformed place is first sampled again, from some steps back.",
    )

    def to_params(self) -> WatchParams:
        """The same, as the engine takes it."""
        return WatchParams(
            fractions=None if self.fractions is None else tuple(self.fractions),
            stop=self.stop,
            max_restarts=self.max_restarts,
            in_flight=self.in_flight,
        )
