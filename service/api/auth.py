"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Without keys everybody is the same caller, who may do everything.

    Attributes:
        owner: the key's id; empty where there are no keys.
        is_admin: may see and end the jobs of all owners.
    """

    owner: str = ""
    is_admin: bool = True

    @property
    def sees(self) -> str | None:
        """Whose jobs and pictures this one may see; None for all."""
        return None if self.is_admin else self.owner
