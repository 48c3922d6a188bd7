"""The outermost middleware: the request's id, the limits on its body, an answer even after a crash."""

from __future__ import annotations

import logging
import uuid
from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.middleware.body_limits import BodyLimits
from service.api.problems import problem

_log = logging.getLogger(__name__)

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Default headers of answers: the page sets a stricter policy of its own."""


class Guard:
    """ASGI middleware: see the module.

    Args:
        limits: the limits on each request's body.
        is_shared: whether pages of other sites may embed this service's answers.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits, is_shared: bool = False) -> None:
        self._app = app
        self._limits = limits
        self._headers = dict(_SAFE_HEADERS)
        if is_shared:
            self._headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                if "location" in headers:
                    headers["location"] = _relative(headers["location"])
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            with bound_contextvars(request_id=request_id):
                await self._app(scope, self._limits.applied(scope, receive), send_with_id)
        except Exception:
            if started:  # half an answer is out; the closed connection shows the failure
                raise
            _log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            response = problem(
                500,
                "internal_error",
                f"the run failed inside; the log tells why under the id {request_id}",
                request_id=request_id,
            )
            await response(scope, receive, send_with_id)


def _relative(location: str) -> str:
    """Removes scheme and host from a redirect to this service: the client may have invented the host."""
    url = urlsplit(location)
    return urlunsplit(("", "", f"/{url.path.lstrip('/')}", url.query, url.fragment))
