"""Options for the checks of unfinished pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.cli.options import given
from service.core.errors import InvalidRequest


def watching(
    watch: bool | None,
    watch_at: Sequence[float] | None,
    stop: bool | None,
    max_restarts: int | None,
    in_flight: bool | None,
) -> bool | Mapping[str, Any] | None:
    """Returns the ``watch`` of a request; None for the service's default. Any of the options turns it on.

    Raises:
        InvalidRequest: if other options are given with ``--no-watch``.
    """
    how = given(fractions=list(watch_at or []), stop=stop, max_restarts=max_restarts, in_flight=in_flight)
    if how and watch is False:
        raise InvalidRequest(
            "--no-watch, and yet it is said how to watch",
            code="conflicting_parameters",
            allowed="either --no-watch, or --watch-at, --watch-stop, --max-restarts, --in-flight",
        )
    return how or watch
