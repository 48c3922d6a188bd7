"""HTTP with retries where that is safe and helps: a busy service, or a broken connection."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from service.client.failures import failure_of, problem_in
from service.core.errors import AnatomendError, Unreachable

SILENCE_S = 10.0
"""Seconds of silence after which a stream counts as dead and is requested again."""
_CONNECT_S, _TRANSFER_S = 10.0, 60.0
_BUSY = frozenset({429, 502, 503, 504})
_TRIES = 4
_LONGEST_PAUSE_S = 5.0
_MAX_EVENT_BYTES = 64 << 20


class Deadline:
    """The end of the time that a call may take."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._at = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        """The remaining seconds; never negative."""
        return max(0.0, self._at - time.monotonic())

    def renew(self) -> None:
        """Starts the time again."""
        self._at = time.monotonic() + self._timeout_s

    def pause(self, wanted_s: float) -> None:
        """Waits.

        Raises:
            Unreachable: ``timed_out`` if the deadline comes first.
        """
        if wanted_s >= self.left_s:
            raise Unreachable(f"no result within {self._timeout_s:g} s", code="timed_out")
        time.sleep(wanted_s)


class Transport:
    """Sends HTTP requests to one service. Raises the project's own errors only.

    Args:
        base_url: the URL of the service, with the prefix of a proxy if there is one.
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
        """Sends a request and returns an answer of 2xx.

        A busy service is retried when it says so, until the deadline. A broken connection is retried a few
        times; so send only requests that may safely arrive twice.

        Raises:
            AnatomendError: the service's refusal.
            Unreachable: if the service does not answer in time.
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
        """Yields the events of one connection, until it ends, breaks or falls silent.

        Raises:
            AnatomendError: the service's refusal.
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
            return  # the caller connects again, from the last event on

    def _unreachable(self, error: Exception) -> AnatomendError:
        return Unreachable(f"{self._http.base_url} cannot be reached: {error}")


def backoff_s(tries: int) -> float:
    """Returns the pause after so many failures: longer each time, and randomised between clients."""
    return min(_LONGEST_PAUSE_S, 0.2 * 2.0**tries) * random.uniform(0.5, 1.0)


def _wait_s(response: httpx2.Response) -> float | None:
    """Returns the seconds until a retry; None if a retry would not help."""
    if response.status_code not in _BUSY:
        return None
    wanted = response.headers.get("retry-after", "")
    if wanted.isdecimal():
        return float(wanted)
    return None if problem_in(response) else 1.0
