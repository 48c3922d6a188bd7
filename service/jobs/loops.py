"""Loops that go on for as long as the service does, whatever happens in them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from service.core.errors import AnatomendError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
"""After a round that failed, doubled with each one that fails after it."""

_log = logging.getLogger(__name__)


async def repeat(what: str, once: Callable[[], Awaitable[float]], longest_s: float = LONGEST_PAUSE_S) -> None:
    """Does something again and again until it is cancelled; no exception ends it.

    Others wait for what such a loop tells them, so after a round that fails comes a pause and another one.

    Args:
        what: names it in the log.
        once: one round; returns the seconds until the next one.
        longest_s: most seconds between a round that failed and the next one.
    """
    failures = 0
    while True:
        try:
            pause_s = await once()
            failures = 0
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait for the next round need it
            pause_s = min(FIRST_PAUSE_S * 2**failures, longest_s)
            failures = min(failures + 1, 32)
            _tell(what, error, pause_s)
        await anyio.sleep(pause_s)


def _tell(what: str, error: Exception, pause_s: float) -> None:
    if isinstance(error, AnatomendError):  # an outage: its words say all
        _log.warning("%s failed and is tried again in %.2f s: %s", what, pause_s, error.detail)
    else:
        _log.error("%s failed and is tried again in %.2f s", what, pause_s, exc_info=error)
