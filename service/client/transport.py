"""Requests that are sent again where that is safe and helps: the service is busy, or the line broke."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from service.client.failures import failure_of, problem_in
from service.core.errors import AnatomendError, Unreachable

SILENCE_S = 10.0
"""A stream that says nothing for so long is asked for again; it may be dead."""
_CONNECT_S, _TRANSFER_S = 10.0, 60.0
_BUSY = frozenset({429, 502, 503, 504})
_TRIES = 4
_LONGEST_PAUSE_S = 5.0
_MAX_EVENT_BYTES = 64 << 20


class Deadline:
    """Until when something may take."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """How long there is; never negative."""
        return max(0.0, self._at - time.monotonic())

    def renew(self) -> None:
        """Begins anew."""
        self._at = time.monotonic() + self._timeout_s

    def pause(self, wanted_s: float) -> None:
        """Waits.

        Raises:
            Unreachable: ``timed_out`` if it would be over before that.
        """
        if wanted_s >= self.left_s:
            raise Unreachable(f"no result within {self._timeout_s:g} s", code="timed_out")
        time.sleep(wanted_s)


class Transport:
    """Speaks HTTP with one service. Raises the project's own errors only.

    Args:
        base_url: where the service is, with the prefix that a proxy may have put before it.
        key: sent as a bearer token.
        transport: for tests.
    """

    def __init__(self, base_url: str, key: str | None, transport: httpx2.BaseTransport | None = None) -> None:
        self._http = httpx2.Client(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(_TRANSFER_S, connect=_CONNECT_S),
            transport=transport,
        )

    def close(self) -> None:
        """Ends all connections."""
        self._http.close()

    def ask(self, method: str, path: str, deadline: Deadline, **content: Any) -> httpx2.Response:
        """An answer of 2xx.

        A service that is busy is asked again when it says so, until the deadline. A line that breaks is
        tried a few times; therefore send only what may safely arrive twice.

        Raises:
            AnatomendError: what the service refused with.
            Unreachable: if nobody answers in time.
        """
        broken = 0
        while True:
            try:
                response = self._http.request(method, path, **content)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                broken += 1
                if broken == _TRIES or not isinstance(error, httpx2.TransportError):
                    raise self._unreachable(error) from error
                deadline.pause(backoff_s(broken))
                continue
            if response.is_success:
                return response
            wait_s = _wait_s(response)
            if wait_s is None:
                raise failure_of(response)
            try:
                deadline.pause(wait_s)
            except Unreachable as late:
                raise failure_of(response) from late

    def events(
        self, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> Iterator[httpx2.ServerSentEvent]:
        """The events of one connection, until it ends, breaks or falls silent.

        Raises:
            AnatomendError: what the service refused with.
        """
        silence_s = max(0.1, min(SILENCE_S, deadline.left_s))
        timeout = httpx2.Timeout(silence_s, connect=_CONNECT_S)
        try:
            with self._http.stream("GET", path, headers=dict(headers), timeout=timeout) as response:
                if response.is_success:
                    yield from httpx2.EventSource(response, _MAX_EVENT_BYTES)
                    return
                response.read()
                if _wait_s(response) is None:
                    raise failure_of(response)
        except httpx2.TransportError:
            return  # whoever follows asks again from the last event on

    def _unreachable(self, error: Exception) -> AnatomendError:
        return Unreachable(f"{self._http.base_url} cannot be reached: {error}")


def backoff_s(tries: int) -> float:
    """How long to wait after so many failures: longer each time, and not all clients at once."""
    return min(_LONGEST_PAUSE_S, 0.2 * 2.0**tries) * random.uniform(0.5, 1.0)


def _wait_s(response: httpx2.Response) -> float | None:
    """When to ask again; None if asking again would not help."""
    if response.status_code not in _BUSY:
        return None
    wanted = response.headers.get("retry-after", "")
    if wanted.isdecimal():
        return float(wanted)
    return None if problem_in(response) else 1.0
