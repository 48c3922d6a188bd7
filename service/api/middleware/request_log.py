"""The request log: every answered request in the log and in the metrics."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
"""The label of unknown paths: a client could invent any number of them."""
_PROBES = frozenset({"/livez", "/readyz", "/startupz", "/metrics"})

_log = logging.getLogger(__name__)


class RequestLog:
    """ASGI middleware: see the module.

    Args:
        metrics: counts the requests.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and measures its duration."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()  # the guard's answer if nothing else answers

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], scope["path"]
        route = getattr(scope.get("route"), "path", _OTHER)
        self._metrics.answered(method if method in _METHODS else _OTHER, route, status, seconds)
        # Without the query: a secret that is sent there by mistake must not be logged.
        level = logging.DEBUG if route in _PROBES else logging.INFO
        facts = {"route": route, "status": status, "duration_s": round(seconds, 4)}
        _log.log(level, "%s %s %d", method, path, status, extra=facts)
