"""The keys in force, cached for a moment: a query at every request would cost more than the request."""

from __future__ import annotations

import hmac
import time

from service.database.connect import Database
from service.keys.records import Key, all_keys, digest_of

FRESH_S = 0.5
"""Seconds for which a revoked key may still work, and for which a new one may not work yet."""


class KeyRing:
    """The keys of a database. Thread-safe.

    Args:
        database: the database of the keys.
        required: whether a key is needed even while none exists.
    """

    def __init__(self, database: Database, required: bool = False) -> None:
        self._database = database
        self._keys: tuple[Key, ...] = ()
        self._in_force = required
        self._read_at = -1e9

    @property
    def is_fresh(self) -> bool:
        """True if the cached keys are young enough to be relied on."""
        return time.monotonic() - self._read_at < FRESH_S

    @property
    def in_force(self) -> bool:
        """True if a key is needed.

        Once true, it stays so until the process ends: an operator who revokes the last key means to close the
        service, and not to open it to all.
        """
        return self._in_force

    def refresh(self) -> None:
        """Reads the keys again.

        Raises:
            DatabaseUnavailable: if the keys cannot be read; a caller that ignores this would accept a revoked
                key.
        """
        asked_at = time.monotonic()  # writes during the read may be missed, so they count as not read
        self._keys = tuple(key for key in all_keys(self._database) if key.revoked_at is None)
        self._in_force = self._in_force or bool(self._keys)
        self._read_at = asked_at

    def find(self, secret: str) -> Key | None:
        """Returns the key with this secret, if any. Takes the same time for every secret."""
        digest, found = digest_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found
