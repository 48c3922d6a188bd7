"""Checks of the listen address: beyond this machine only with keys, or if open access is set explicitly."""

from __future__ import annotations

import ipaddress
import logging

from service.core.errors import InvalidSettings
from service.database.connect import Database
from service.keys.records import all_keys
from service.runtime.settings import Settings

_log = logging.getLogger(__name__)


def check_bind(host: str, settings: Settings) -> None:
    """Checks that the listen address does not open the service to all by accident; logs who has access.

    Raises:
        InvalidSettings: if there are no keys, the address is public, and open access is not set.
        DatabaseUnavailable: if the keys cannot be read.
    """
    if settings.require_keys or _has_keys(settings):
        _log.info("a key is needed: anatomend keys list tells which there are")
    elif is_loopback(host):
        _log.warning(
            "no keys: whoever is on this machine can use the service; it listens on %s, which others cannot "
            "reach. For more make a key: anatomend keys add NAME",
            host,
        )
    elif settings.allow_open:
        _log.warning(
            "OPEN TO ALL: there are no keys, and ANATOMEND_ALLOW_OPEN is set. Whoever reaches %s can use the "
            "service and see all pictures. To shut it: anatomend keys add NAME. Asked by a name other than "
            "localhost it answers only if ANATOMEND_ALLOWED_HOSTS has that name",
            host or "this machine",
        )
    else:
        raise InvalidSettings(
            f"there are no keys, and whoever reaches {host or 'this machine'} could use the service",
            allowed="make a key (anatomend keys add NAME), listen on 127.0.0.1, set "
            "ANATOMEND_REQUIRE_KEYS=true, or ANATOMEND_ALLOW_OPEN=true if all who can reach it may use it",
        )


def is_loopback(host: str) -> bool:
    """Returns True for ``localhost`` and loopback addresses; False for any other name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _has_keys(settings: Settings) -> bool:
    database = Database.of(settings)
    try:
        database.migrate()
        return any(key.revoked_at is None for key in all_keys(database))
    finally:
        database.close()
