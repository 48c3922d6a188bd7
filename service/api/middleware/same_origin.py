"""Checks of a request's host and origin, against attacks by way of a browser."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers

from service.core.errors import Forbidden
from service.keys.binding import is_loopback

ANY = "*"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_PAGE = frozenset({"same-origin", "none"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_host(headers: Headers, allowed: Collection[str]) -> None:
    """Checks that the ``Host`` header is a name of this service.

    A page of another site can point its own name to this machine (DNS rebinding). The browser then takes both
    for one site and lets the page read everything; only the ``Host`` header still shows the difference.

    Args:
        headers: the request's headers.
        allowed: names besides those of the loopback device, in lower case and without ports; ``*`` for all.

    Raises:
        Forbidden: ``unknown_host``.
    """
    sent = headers.getlist("host")
    name = _split(f"//{sent[0]}").hostname if len(sent) == 1 else None
    if ANY in allowed or (name is not None and (is_loopback(name) or name in allowed)):
        return
    raise Forbidden(
        f"the service is not asked by the name {', '.join(sent)!r}",
        code="unknown_host",
        allowed=["localhost", "127.0.0.1", *sorted(allowed), "what ANATOMEND_ALLOWED_HOSTS names"],
    )


def check_site(method: str, headers: Headers, allowed_origins: Collection[str]) -> None:
    """Checks that a request with side effects comes from the service's own page, or from no page at all.

    Another port of the same machine is another site here, though browsers call it ``same-site``. They send no
    ``Sec-Fetch-Site`` where the page came over plain HTTP, but always ``Origin`` with such requests.

    Args:
        method: the request's method.
        headers: the request's headers.
        allowed_origins: pages of other sites that may send requests; ``*`` for all.

    Raises:
        Forbidden: ``cross_site``.
    """
    origin = headers.get("origin")
    if method in _SAFE_METHODS or ANY in allowed_origins or origin in allowed_origins:
        return
    is_own_origin = origin is None or _is_at(_split(origin), headers.get("host", ""))
    if is_own_origin and headers.get("sec-fetch-site", "none") in _OWN_PAGE:
        return
    raise Forbidden(
        "a page of another site may not ask for this",
        code="cross_site",
        allowed=sorted(allowed_origins) or "requests from the service's own page, or from no page",
    )


def _is_at(origin: SplitResult, host: str) -> bool:
    """Returns True if a page of this origin was served by this host. A proxy may have ended its TLS."""
    port = _DEFAULT_PORTS.get(origin.scheme)
    asked = _split(f"//{host}")
    return (
        port is not None
        and origin.hostname is not None
        and (origin.hostname, _port(origin) or port) == (asked.hostname, _port(asked) or port)
    )


def _split(address: str) -> SplitResult:
    """Returns the parts of a URL; empty parts for an invalid one."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _port(address: SplitResult) -> int | None:
    try:
        return address.port
    except ValueError:
        return -1
