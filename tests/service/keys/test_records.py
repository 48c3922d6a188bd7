from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from service.core.errors import InvalidRequest, NotFound
from service.database.connect import Database
from service.keys.records import Scope, add_key, all_keys, revoke_key
from service.keys.ring import FRESH_S, KeyRing


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'keys.sqlite3'}")
    database.migrate()
    yield database
    database.close()


def test_the_secret_is_not_kept(database: Database, tmp_path: Path):
    key, secret = add_key(database, "ada")
    assert secret.startswith("anatomend_")
    assert len(secret) > 50
    database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.digest.encode() in kept
    assert secret.encode() not in kept
    assert secret.removeprefix("anatomend_").encode() not in kept


def test_keys_are_listed_with_all_that_is_known(database: Database):
    made = [add_key(database, "ada")[0], add_key(database, "root", [Scope.ADMIN, Scope.USE])[0]]
    assert all_keys(database) == made
    assert made[0].scopes == {Scope.USE}
    assert made[1].scopes == {Scope.USE, Scope.ADMIN}


def test_an_admin_may_do_what_others_may(database: Database):
    admin, user = add_key(database, "a", [Scope.ADMIN])[0], add_key(database, "u")[0]
    assert (admin.allows(Scope.USE), admin.allows(Scope.ADMIN)) == (True, True)
    assert (user.allows(Scope.USE), user.allows(Scope.ADMIN)) == (True, False)


def test_a_revoked_key_keeps_the_time_of_its_first_revocation(database: Database):
    key, _ = add_key(database, "ada")
    first = revoke_key(database, key.id)
    assert first.revoked_at
    assert revoke_key(database, key.id) == first
    with pytest.raises(NotFound, match="no key 'nobody'"):
        revoke_key(database, "nobody")


@pytest.mark.parametrize("name", ["", "  ", "x" * 256])
def test_a_name_that_cannot_be_used(database: Database, name: str):
    with pytest.raises(InvalidRequest):
        add_key(database, name)
    assert all_keys(database) == []


def test_a_ring_finds_only_keys_in_force(database: Database):
    ring = KeyRing(database)
    ring.refresh()
    assert not ring.in_force
    key, secret = add_key(database, "ada")
    add_key(database, "bob")
    ring.refresh()
    assert ring.in_force
    assert ring.find(secret) == key
    assert ring.find(secret + "x") is None
    assert ring.find("") is None
    assert ring.find(key.digest) is None
    revoke_key(database, key.id)
    ring.refresh()
    assert ring.find(secret) is None


def test_revoking_the_last_key_opens_nothing(database: Database):
    ring = KeyRing(database)
    key, secret = add_key(database, "ada")
    ring.refresh()
    revoke_key(database, key.id)
    ring.refresh()
    assert ring.in_force
    assert ring.find(secret) is None


def test_a_ring_goes_stale(database: Database, monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr("service.keys.ring.time.monotonic", lambda: now)
    ring = KeyRing(database, required=True)
    assert not ring.is_fresh
    assert ring.in_force
    ring.refresh()
    assert ring.is_fresh
    now += FRESH_S
    assert not ring.is_fresh


def test_two_keys_never_share_a_secret(database: Database):
    secrets = {add_key(database, "same")[1] for _ in range(20)}
    assert len(secrets) == 20
    with database.read() as connection:
        assert connection.scalar(text("SELECT count(DISTINCT hash) FROM api_keys")) == 20
