"""Limits that uvicorn lacks: on connections held open by sending, or reading, next to nothing."""

from __future__ import annotations

import asyncio
from typing import Any

SILENCE_S = 20.0
"""Seconds for a request's head, and for the rest of a body that is no longer read."""
STANDSTILL_S = 120.0
"""Seconds for which a client may read nothing of its answer while more is waiting to be sent.

The system buffers a megabyte of it, which a slow connection takes that long to receive.
"""


def impatient(
    protocol: type[Any], silence_s: float = SILENCE_S, standstill_s: float = STANDSTILL_S
) -> type[Any]:
    """Returns a protocol class of uvicorn's that closes connections on which nothing happens.

    Uvicorn ends a connection that stays idle after an answer, until the first byte comes; from then on it
    waits for ever for the rest of the head. The time to read a body is limited by the application.

    Args:
        protocol: either of uvicorn's for HTTP/1.1.
        silence_s: the maximum time without a request at work, in seconds.
        standstill_s: the maximum time that an answer may wait to be read, in seconds.
    """
    limits = {"silence_s": silence_s, "standstill_s": standstill_s}
    return type(f"Impatient{protocol.__name__}", (_Impatient, protocol), limits)


class _Impatient(asyncio.Protocol):
    silence_s: float
    standstill_s: float
    # Attributes of uvicorn's protocols.
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    _silence: asyncio.TimerHandle | None = None
    _standstill: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_at_work:
            _stop(self._silence)

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc] # uvicorn's
        self._await_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        super().resume_writing()
        _stop(self._standstill)

    def connection_lost(self, exc: Exception | None) -> None:
        _stop(self._silence)
        _stop(self._standstill)
        super().connection_lost(exc)

    @property
    def _is_at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_request(self) -> None:
        _stop(self._silence)
        self._silence = self.loop.call_later(self.silence_s, self._end_silence)

    def _end_silence(self) -> None:
        if not self._is_at_work:  # a request that waited in the pipeline may have begun
            self.transport.close()

    def _await_progress(self) -> None:
        _stop(self._standstill)
        left = self.transport.get_write_buffer_size()
        self._standstill = self.loop.call_later(self.standstill_s, self._end_standstill, left)

    def _end_standstill(self, left_before: int) -> None:
        if self.transport.get_write_buffer_size() < left_before:
            self._await_progress()
        else:
            self.transport.abort()  # closing would wait until all is sent


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
