"""Tests what the client does when the service is busy, away or strange: against answers made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from service.client import Anatomend
from service.core.errors import (
    AnatomendError,
    Forbidden,
    ModelUnavailable,
    NotReady,
    QueueFull,
    Unauthorized,
    Unreachable,
)
from service.jobs.records import EventType

Answers = Callable[[httpx2.Request], httpx2.Response]
MODELS = {"models": [], "class_names": []}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.client.backoff_s", lambda _: 0.0)
    monkeypatch.setattr("service.client.transport.backoff_s", lambda _: 0.0)


def client_of(answers: Answers, timeout_s: float = 5.0, key: str | None = None) -> Anatomend:
    return Anatomend(
        "http://service/prefix/", key, timeout_s, transport=httpx2.MockTransport(answers)
    )  # fmt: skip


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    content = json.dumps({"status": status, "code": code, "detail": "so", "allowed": "else"})
    return httpx2.Response(
        status, headers={"Content-Type": "application/problem+json", **headers}, content=content
    )


def in_turn(*answers: httpx2.Response | Exception) -> tuple[Answers, list[httpx2.Request]]:
    """Gives one answer after the other, and keeps what was asked."""
    left, asked = list(answers), list[httpx2.Request]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return answer, asked


def test_the_key_and_the_prefix_are_sent():
    answer, asked = in_turn(httpx2.Response(200, json=MODELS))
    client_of(answer, key="secret").models()
    assert str(asked[0].url) == "http://service/prefix/models"
    assert asked[0].headers["authorization"] == "Bearer secret"


def test_a_busy_service_is_asked_again_when_it_says_so():
    busy = {"Retry-After": "0"}
    answer, asked = in_turn(
        problem(503, "not_ready", **busy),
        problem(429, "too_many_jobs", **busy),
        httpx2.ConnectError("refused"),
        httpx2.Response(200, json=MODELS),
    )
    client_of(answer).models()
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (problem(503, "model_unavailable"), ModelUnavailable),
        (problem(401, "missing_key"), Unauthorized),
        (problem(403, "missing_scope"), Forbidden),
        (problem(500, "internal_error"), AnatomendError),
        (problem(418, "brand_new"), AnatomendError),
        (httpx2.Response(404, text="<html>"), AnatomendError),
        (httpx2.Response(401, headers={"Content-Type": "application/problem+json"}, text="{"), Unauthorized),
    ],
)
def test_what_would_not_help_is_not_repeated(response: httpx2.Response, kind: type[AnatomendError]):
    answer, asked = in_turn(response)
    with pytest.raises(kind) as caught:
        client_of(answer).models()
    assert len(asked) == 1
    assert caught.value.detail


@pytest.mark.parametrize(("code", "kind"), [("queue_full", QueueFull), ("not_ready", NotReady)])
def test_a_service_that_stays_busy_is_given_up(code: str, kind: type[AnatomendError]):
    with pytest.raises(kind) as caught:
        client_of(lambda _: problem(503, code, **{"Retry-After": "60"}), timeout_s=0.2).models()
    assert caught.value.allowed == "else"


def test_a_line_that_stays_broken_is_given_up():
    answer, asked = in_turn(*[httpx2.ConnectError("refused")] * 9)
    with pytest.raises(Unreachable, match="refused"):
        client_of(answer).models()
    assert len(asked) == 4
    with pytest.raises(Unreachable), Anatomend("nonsense://x") as client:
        client.models()


def told(*events: tuple[int, str, dict[str, object]], ends: str = "") -> httpx2.Response:
    text = ": ping\n\n" + "".join(
        f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for number, kind, data in events
    )
    return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, text=text + ends)


def test_events_go_on_where_a_connection_broke():
    answer, asked = in_turn(
        told((1, "state", {}), (2, "progress", {"done": 1}), ends='id: 3\nevent: progress\ndata: {"do'),
        httpx2.ReadTimeout("silence"),
        httpx2.Response(502, text="proxy"),
        told((3, "progress", {"done": 2}), (4, "fog", {}), (5, "done", {})),
    )
    events = list(client_of(answer).events("one"))
    assert [(event.id, event.type) for event in events] == [
        (1, EventType.STATE),
        (2, EventType.PROGRESS),
        (3, EventType.PROGRESS),
        (5, EventType.DONE),
    ]
    assert [request.headers["last-event-id"] for request in asked] == ["0", "2", "2", "2"]


def test_a_call_is_one_job_however_often_it_is_sent():
    answer, asked = in_turn(
        httpx2.ReadError("gone"),
        problem(503, "queue_full", **{"Retry-After": "0"}),
        problem(422, "invalid_parameter"),
    )
    with pytest.raises(AnatomendError):
        client_of(answer).repair(b"png", prompt="x")
    keys = {request.headers["idempotency-key"] for request in asked}
    assert len(keys) == 1
    assert all(len(key) == 32 for key in keys)
    assert {request.headers["prefer"] for request in asked} == {"respond-async"}
    assert b'{"prompt": "x"}' in asked[-1].content
