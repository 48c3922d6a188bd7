"""Outages and damage of the database: logged once, and reported to clients without internal names."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.core.errors import DatabaseUnavailable

DAMAGED = "database_damaged"
_PASSING = (OperationalError, InterfaceError, InternalError, PoolTimeout, sqlite3.OperationalError)
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_log = logging.getLogger(__name__)


class Outages:
    """Translates a driver's errors into the project's own. Thread-safe.

    Callers retry many times a second: so only the beginning and the end of an outage are logged.

    Args:
        name: the name of the database for the operator: its file or its server.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._since: float | None = None
        self._is_damaged = False
        self._lock = threading.Lock()

    @property
    def damage(self) -> DatabaseUnavailable | None:
        """The error for met damage; it stays, since parts of a damaged file can still be read."""
        return _damage() if self._is_damaged else None

    def met(self, error: Exception) -> DatabaseUnavailable | None:
        """Returns the error to raise instead; None if the database did not cause it."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            return self.damaged(str(cause))
        if not isinstance(error, _PASSING):
            return None
        with self._lock:
            is_new, self._since = self._since is None, self._since or time.monotonic()
        if is_new:
            _log.warning("the database cannot be used (%s): %s", self._name, " ".join(str(cause).split()))
        # SQLite's messages are a few fixed words; a server's driver names hosts, ports and users.
        why = str(cause) if isinstance(cause, sqlite3.Error) else "its server does not answer"
        return DatabaseUnavailable(f"the database cannot be used now: {why}", allowed="try again later")

    def damaged(self, found: str) -> DatabaseUnavailable:
        """Returns the error for a damaged file, and logs the damage."""
        with self._lock:
            is_new, self._is_damaged = not self._is_damaged, True
        if is_new:
            _log.error(
                "%s is damaged (%s): stop the service, keep a copy of the file, put back a backup or try "
                "sqlite3's .recover (docs/operations.md, 'A damaged database')",
                self._name,
                " ".join(found.split()),
            )
        return _damage()

    def over(self) -> None:
        """Ends an outage; called after every success."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            _log.info("the database can be used again, after %.1f s", time.monotonic() - since)


def _damage() -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "the database is damaged and has to be mended by hand", code=DAMAGED, allowed="see the service's log"
    )
