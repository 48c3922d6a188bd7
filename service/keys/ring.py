"""The keys in force, remembered for a moment: a lookup at every request would cost more than the request."""

from __future__ import annotations

import hmac
import time

from service.database.connect import Database
from service.keys.records import Key, all_keys, digest_of

FRESH_S = 0.5
"""How long a key may work after it was revoked, and how long a new one may have to wait."""


class KeyRing:
    """The keys of a database. To be shared between threads.

    Args:
        database: where they are.
        required: whether a key is needed even while there is none.
    """

    def __init__(self, database: Database, required: bool = False) -> None:
        self._database = database
        self._keys: tuple[Key, ...] = ()
        self._in_force = required
        self._read_at = -1e9

    @property
    def is_fresh(self) -> bool:
        """Whether what is remembered is young enough to be relied on."""
        return time.monotonic() - self._read_at < FRESH_S

    @property
    def in_force(self) -> bool:
        """Whether a key is needed.

        Once it is, it stays so until the process ends: who revokes the last key means to shut a door, and not
        to open the house to everybody.
        """
        return self._in_force

    def refresh(self) -> None:
        """Reads the keys again.

        Raises:
            DatabaseUnavailable: if they cannot be read; a caller that goes on regardless would let in a key
                that was revoked.
        """
        asked_at = time.monotonic()  # what is written while we read may be missed, and counts as not read
        self._keys = tuple(key for key in all_keys(self._database) if key.revoked_at is None)
        self._in_force = self._in_force or bool(self._keys)
        self._read_at = asked_at

    def find(self, secret: str) -> Key | None:
        """The key with this secret. Takes the same time for every secret, whether there is one or not."""
        digest, found = digest_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found
