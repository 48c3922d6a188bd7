"""What ``null`` means to the clients of other services."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, model_validator


class NullsLeftOut(BaseModel):
    """A body in which ``null`` means "left out", for every name.

    Our own bodies say for each name whether it may be null, since no repair is not the usual repair.
    """

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}
