"""Limits on the size of a body, and on the time that it may take to arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from service.api.middleware.auth import path_of
from service.api.problems import BodyTooLarge, BodyTooSlow

MAX_PLAIN_BYTES = 1 << 20
"""A prompt and its parameters take a few thousand bytes; so do the fields and boundaries of a form."""
PICTURES: Mapping[str, int] = {
    "/repair": 2,
    "/detect": 1,
    "/v1/images/edits": 2,
    "/sdapi/v1/img2img": 2,
    "/sdapi/v1/txt2img": 1,
}
"""The number of pictures that a body may hold, by path; zero elsewhere. In txt2img they have no effect."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits on one request's body.

    Attributes:
        max_picture_bytes: the maximum for each picture, where one is allowed.
        patience_s: seconds to wait for a body of any size.
        least_bytes_per_s: the minimum average rate after that time. A slow connection is faster.
        now: a clock, in seconds.
    """

    max_picture_bytes: int
    patience_s: float = 30.0
    least_bytes_per_s: float = 10_000.0
    now: Callable[[], float] = time.monotonic

    def max_bytes(self, path: str) -> int:
        """Returns the maximum number of bytes that are read at this path."""
        return PICTURES.get(path, 0) * self.max_picture_bytes + MAX_PLAIN_BYTES

    def applied(self, scope: Scope, receive: Receive) -> Receive:
        """Returns a ``receive`` that counts, since the announced length may be missing or wrong.

        It raises ``BodyTooLarge``, or ``BodyTooSlow`` for a body that arrives too slowly.
        """
        limit = self.max_bytes(path_of(scope))
        announced = Headers(scope=scope).get("content-length", "")
        too_large = announced.isdecimal() and int(announced) > limit
        received, waited_s, is_whole = 0, 0.0, False

        async def limited() -> Message:
            nonlocal received, waited_s, is_whole
            if too_large:
                raise BodyTooLarge(limit)
            if is_whole:  # the only message after the body is that the client has gone away
                return await receive()
            allowed_s = self.patience_s + received / self.least_bytes_per_s
            began = self.now()  # only the wait counts: our own work in between is not the sender's
            with anyio.move_on_after(allowed_s - waited_s) as patience:
                message = await receive()
            waited_s += self.now() - began
            if patience.cancelled_caught:
                raise BodyTooSlow(allowed_s)
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if received > limit:
                raise BodyTooLarge(limit)
            return message

        return limited
