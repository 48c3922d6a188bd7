from __future__ import annotations

import logging
from pathlib import Path

import pytest

from service.core.errors import InvalidSettings
from service.database.connect import Database
from service.keys.binding import check_bind, is_loopback
from service.keys.records import add_key, revoke_key
from service.runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.2", "example.org", "127.0.0.1.example.org"])
def test_not_loopback(host: str):
    assert not is_loopback(host)


def test_without_keys_loopback_is_told_of(settings: Settings, caplog):
    check_bind("127.0.0.1", settings)
    assert "no keys" in caplog.text
    assert "keys add" in caplog.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1"])
def test_without_keys_a_public_address_is_refused(settings: Settings, host: str):
    with pytest.raises(InvalidSettings, match="no keys") as caught:
        check_bind(host, settings)
    assert "ANATOMEND_ALLOW_OPEN" in str(caught.value.allowed)


def test_a_public_address_without_keys_can_be_meant(settings: Settings, caplog):
    check_bind("0.0.0.0", settings.model_copy(update={"allow_open": True}))
    assert "OPEN TO ALL" in caplog.text


def test_a_key_or_the_demand_for_one_allows_any_address(settings: Settings, caplog):
    caplog.set_level(logging.INFO)
    check_bind("0.0.0.0", settings.model_copy(update={"require_keys": True}))
    database = Database.of(settings)
    database.migrate()
    key, secret = add_key(database, "ada")
    check_bind("0.0.0.0", settings)
    assert "a key is needed" in caplog.text
    assert secret not in caplog.text
    revoke_key(database, key.id)
    with pytest.raises(InvalidSettings):
        check_bind("0.0.0.0", settings)
    database.close()
