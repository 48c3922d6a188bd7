"""Errors under ``/v1``, in the shape that OpenAI's clients expect."""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.middleware.auth import path_of
from service.api.problems import MEDIA_TYPE

PREFIX = "/v1/"

# OpenAI reports all mistakes in a request by 400, except an unknown model.
_STATUS = {413: 400, 415: 400, 422: 400}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_PARAMS = {
    "size_too_large": "size",
    "size_too_small": "size",
    "size_not_multiple_of_8": "size",
    "size_not_multiple_of_16": "size",
    "empty_prompt": "prompt",
    "prompt_too_long": "prompt",
    "mask_size_mismatch": "mask",
    "bad_mask": "mask",
    "nothing_painted": "mask",
    "model_not_found": "model",
    "empty_image": "image",
    "not_an_image": "image",
    "unsupported_type": "image",
    "damaged_image": "image",
    "too_many_pixels": "image",
}
"""OpenAI's parameter name by error code, where the problem itself does not name it."""
_RENAMED = {"width": "size", "height": "size", "num_images": "n"}


class OpenAIErrors:
    """ASGI middleware: converts problems into OpenAI's shape, whichever layer they come from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and converts its refusal."""
        if scope["type"] != "http" or not path_of(scope).startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def translated(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type") == MEDIA_TYPE:
                    start = message
                    return
            elif start is not None:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await _send_error(start, json.loads(body), send)
                return
            await send(message)

        await self._app(scope, receive, translated)


def error_of(problem: dict[str, Any]) -> dict[str, Any]:
    """Returns a problem in OpenAI's shape."""
    status, code = int(problem["status"]), str(problem["code"])
    named = (problem.get("errors") or [{}])[0].get("parameter")
    message = str(problem["detail"])
    if "allowed" in problem:
        allowed = problem["allowed"]
        message += f" (allowed: {allowed if isinstance(allowed, str) else json.dumps(allowed)})"
    default = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "message": message,
        "type": _TYPES.get(status, default),
        "param": _RENAMED.get(named, named) or _PARAMS.get(code),
        "code": code,
    }


async def _send_error(start: Message, problem: dict[str, Any], send: Send) -> None:
    content = json.dumps({"error": error_of(problem)}).encode()
    start["status"] = _STATUS.get(start["status"], start["status"])
    headers = MutableHeaders(scope=start)
    headers["content-type"] = "application/json"
    headers["content-length"] = str(len(content))
    await send(start)
    await send({"type": "http.response.body", "body": content})
