"""Background loops that run as long as the service does, whatever fails in them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from service.core.errors import AnatomendError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
"""The pause after a round that failed, in seconds; doubled with each further failure."""

_log = logging.getLogger(__name__)


async def repeat(what: str, once: Callable[[], Awaitable[float]], longest_s: float = LONGEST_PAUSE_S) -> None:
    """Repeats an action until cancelled; no exception ends the loop.

    Others depend on such a loop, so a round that fails is followed by a pause and another round.

    Args:
        what: the name of the loop in the log.
        once: one round; returns the seconds until the next one.
        longest_s: the maximum number of seconds between a round that failed and the next one.
    """
    failures = 0
    while True:
        try:
            pause_s = await once()
            failures = 0
        except Exception as error:  # noqa: BLE001 - others depend on the next round, whatever the error was
            pause_s = min(FIRST_PAUSE_S * 2**failures, longest_s)
            failures = min(failures + 1, 32)
            _tell(what, error, pause_s)
        await anyio.sleep(pause_s)


def _tell(what: str, error: Exception, pause_s: float) -> None:
    if isinstance(error, AnatomendError):  # an outage: its message says all
        _log.warning("%s failed and is tried again in %.2f s: %s", what, pause_s, error.detail)
    else:
        _log.error("%s failed and is tried again in %.2f s", what, pause_s, exc_info=error)
