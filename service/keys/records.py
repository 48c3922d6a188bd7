"""Records of API keys, and their rows in the database.

A key is 256 random bits. Nobody can guess one from its hash, however fast the hash is, so a plain sha256 is
right: slow hashes protect passwords that people choose, and would here only slow down every request.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.core.errors import InvalidRequest, NotFound
from service.database.connect import Database
from service.database.schema import api_keys

_PREFIX = "anatomend_"
"""The prefix by which scanners for leaked secrets, and readers, recognise a key."""
_BYTES = 32
MAX_NAME_CHARS = 255


class Scope(StrEnum):
    """The permissions of a key."""

    USE = "use"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Key:
    """One key without its secret; times are seconds since 1970, UTC.

    Attributes:
        id: the name of the key in lists and logs, and the owner of its jobs and pictures.
        digest: the sha256 of the secret, in hexadecimal.
    """

    id: str
    name: str
    digest: str
    scopes: frozenset[Scope]
    created_at: float
    revoked_at: float | None

    def allows(self, scope: Scope) -> bool:
        """Returns True if the key has this permission. An admin has all permissions."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def digest_of(secret: str) -> str:
    """Returns the hash under which a secret is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def add_key(database: Database, name: str, scopes: Collection[Scope] = (Scope.USE,)) -> tuple[Key, str]:
    """Makes a key.

    Returns:
        The key, and its secret: only the hash is stored, so it cannot be shown again.

    Raises:
        InvalidRequest: if the name is empty or too long.
    """
    if not 0 < len(name.strip()) <= MAX_NAME_CHARS:
        raise InvalidRequest(
            "the key's name cannot be used", code="invalid_name", allowed=f"1 to {MAX_NAME_CHARS} characters"
        )
    secret = _PREFIX + secrets.token_urlsafe(_BYTES)
    key = Key(
        uuid.uuid4().hex[:12],
        name.strip(),
        digest_of(secret),
        frozenset(scopes or [Scope.USE]),
        time.time(),
        None,
    )
    with database.write() as connection:
        connection.execute(
            insert(api_keys).values(
                id=key.id,
                name=key.name,
                hash=key.digest,
                scopes=" ".join(sorted(key.scopes)),
                created_at=key.created_at,
            )
        )
    return key, secret


def all_keys(database: Database) -> list[Key]:
    """Returns all keys, revoked ones included, oldest first."""
    with database.read() as connection:
        return _keys(connection)


def revoked_keys(database: Database) -> frozenset[str]:
    """Returns the ids of all revoked keys."""
    with database.read() as connection:
        return frozenset(connection.scalars(select(api_keys.c.id).where(api_keys.c.revoked_at.is_not(None))))


def revoke_key(database: Database, key_id: str) -> Key:
    """Revokes a key; a revoked one stays as it is.

    Raises:
        NotFound: ``unknown_key``.
    """
    with database.write() as connection:
        connection.execute(
            update(api_keys)
            .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=time.time())
        )
        found = [key for key in _keys(connection) if key.id == key_id]
    if not found:
        raise NotFound(
            f"there is no key {key_id!r}", code="unknown_key", allowed="an id from: anatomend keys list"
        )
    return found[0]


def _keys(connection: Connection) -> list[Key]:
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [_key_of(row) for row in rows]


def _key_of(row: Any) -> Key:
    scopes = frozenset(Scope(scope) for scope in row.scopes.split())
    return Key(row.id, row.name, row.hash, scopes, row.created_at, row.revoked_at)
