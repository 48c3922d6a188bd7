"""The outermost layer of a request: its id, the limit on its body, an answer even if everything breaks."""

from __future__ import annotations

import logging
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.api.auth import path_of
from service.api.problems import BodyTooLarge, problem

_log = logging.getLogger(__name__)

MAX_JSON_BYTES = 1 << 20
"""A prompt and its parameters take a few thousand."""
PICTURES_IN_JSON = "/sdapi/"
"""There pictures come as base64: as large as a form with two files."""

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""For answers that do not say otherwise: the page has a stricter policy of its own."""


class Guard:
    """ASGI middleware: see the module.

    Args:
        max_form_bytes: the most that a multipart body may hold, both files together.
        is_shared: whether pages of other sites may show what this service answers.
    """

    def __init__(self, app: ASGIApp, max_form_bytes: int, is_shared: bool = False) -> None:
        self._app = app
        self._max_form_bytes = max_form_bytes
        self._headers = dict(_SAFE_HEADERS)
        if is_shared:
            self._headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes one request on."""
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
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            with bound_contextvars(request_id=request_id):
                await self._app(scope, self._limited(scope, receive), send_with_id)
        except Exception:
            if started:  # half an answer is out; the server closes the connection, which says so
                raise
            _log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            response = problem(
                500,
                "internal_error",
                f"the run failed inside; the log tells why under the id {request_id}",
                request_id=request_id,
            )
            await response(scope, receive, send_with_id)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """A ``receive`` that counts, since a sender need not say or tell truly how much it will send."""
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").startswith("multipart/")
        has_pictures = is_form or path_of(scope).startswith(PICTURES_IN_JSON)
        limit = self._max_form_bytes if has_pictures else MAX_JSON_BYTES
        announced = headers.get("content-length", "")
        too_large = announced.isdecimal() and int(announced) > limit
        received = 0

        async def limited() -> Message:
            nonlocal received
            if too_large:
                raise BodyTooLarge(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge(limit)
            return message

        return limited
