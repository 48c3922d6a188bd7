"""Limits on how much of a body is read, and on how long it may take to come."""

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
"""A prompt and its parameters take a few thousand; so do the fields and boundaries of a form."""
PICTURES: Mapping[str, int] = {
    "/repair": 2,
    "/detect": 1,
    "/v1/images/edits": 2,
    "/sdapi/v1/img2img": 2,
    "/sdapi/v1/txt2img": 1,
}
"""How many pictures a body may bring; nowhere else any. To txt2img front ends send some that mean nothing."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The limits on one request's body.

    Attributes:
        max_picture_bytes: of each picture, where there may be one.
        patience_s: how long we wait for a body whatever its size.
        least_bytes_per_s: what must have come on average for each second more. A poor line brings more.
        now: a clock, in seconds.
    """

    max_picture_bytes: int
    patience_s: float = 30.0
    least_bytes_per_s: float = 10_000.0
    now: Callable[[], float] = time.monotonic

    def max_bytes(self, path: str) -> int:
        """The most that is read at this address."""
        return PICTURES.get(path, 0) * self.max_picture_bytes + MAX_PLAIN_BYTES

    def applied(self, scope: Scope, receive: Receive) -> Receive:
        """A ``receive`` that counts, since a sender need not say or tell truly how much it will send.

        It raises ``BodyTooLarge``, or ``BodyTooSlow`` where a body drips.
        """
        limit = self.max_bytes(path_of(scope))
        announced = Headers(scope=scope).get("content-length", "")
        too_large = announced.isdecimal() and int(announced) > limit
        received, waited_s, is_whole = 0, 0.0, False

        async def limited() -> Message:
            nonlocal received, waited_s, is_whole
            if too_large:
                raise BodyTooLarge(limit)
            if is_whole:  # what comes now is only that the client went away
                return await receive()
            allowed_s = self.patience_s + received / self.least_bytes_per_s
            began = self.now()  # only the wait counts: what we do ourselves in between is not the sender's
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
