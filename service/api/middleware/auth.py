"""Authentication and authorization of callers."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.middleware.same_origin import check_host, check_site
from service.api.problems import from_error
from service.core.errors import AnatomendError, Forbidden, Unauthorized
from service.keys.records import Scope as KeyScope
from service.keys.ring import KeyRing

_OPEN = frozenset(
    {"/", "/ui", "/livez", "/readyz", "/startupz", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
)
_OPEN_FOLDERS = ("/ui/", "/static-offline-docs/")
_FOR_ADMINS = frozenset({"/metrics"})
_PROBES = frozenset({"/livez", "/readyz", "/startupz"})
"""Paths for load balancers, which connect by an address of their own; the answers hold no private data."""
_HOW = "Authorization: Bearer KEY, or X-API-Key: KEY"


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. Without keys all callers are the same one, with all rights.

    Attributes:
        owner: the key's id; empty where there are no keys.
        is_admin: whether it may see and end the jobs of all owners.
    """

    owner: str = ""
    is_admin: bool = True

    @property
    def sees(self) -> str | None:
        """The owner whose jobs and pictures the caller may see; None for all."""
        return None if self.is_admin else self.owner


class Auth:
    """ASGI middleware: finds the caller, passes it to the routes, and refuses requests without permission.

    Args:
        ring: the keys.
        allowed_origins: pages of other sites that may send requests; ``*`` for all.
        allowed_hosts: accepted names of the service, besides those of this machine itself. If empty and keys
            are in force, every name is accepted: the name alone opens nothing.
    """

    def __init__(
        self,
        app: ASGIApp,
        ring: KeyRing,
        allowed_origins: tuple[str, ...] = (),
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._ring = ring
        self._allowed_origins = allowed_origins
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] == "http" and path_of(scope) not in _PROBES:
            try:
                await self._check_way(scope)
                if not _is_open(path_of(scope)):
                    scope.setdefault("state", {})["caller"] = self._caller(scope)
            except AnatomendError as error:
                await from_error(error, scope["state"]["request_id"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _check_way(self, scope: Scope) -> None:
        """Refuses forged requests of browsers, with a key or without: some store a password for Basic."""
        ring, headers = self._ring, Headers(scope=scope)
        if not ring.is_fresh:
            await anyio.to_thread.run_sync(ring.refresh)
        if self._allowed_hosts or not ring.in_force:
            check_host(headers, self._allowed_hosts)
        check_site(scope["method"], headers, self._allowed_origins)

    def _caller(self, scope: Scope) -> Caller:
        ring, headers = self._ring, Headers(scope=scope)
        if not ring.in_force:
            return Caller()
        secret = _secret_of(headers)
        if secret is None:
            raise Unauthorized("a key is needed", code="missing_key", allowed=_HOW)
        key = ring.find(secret)
        if key is None:
            raise Unauthorized("this key is unknown or was revoked", allowed=_HOW)
        needed = KeyScope.ADMIN if path_of(scope) in _FOR_ADMINS else KeyScope.USE
        if not key.allows(needed):
            raise Forbidden(f"this key lacks the scope {needed.value}", allowed=[needed.value])
        return Caller(key.id, KeyScope.ADMIN in key.scopes)


def path_of(scope: Scope) -> str:
    """Returns the path below the mount point that a proxy may have added."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _secret_of(headers: Headers) -> str | None:
    """Returns the key that was sent, also as the password of Basic, the only scheme of some clients."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except ValueError:  # invalid base64, not even ASCII, or invalid UTF-8 inside
            return None
    return headers.get("x-api-key") or None
