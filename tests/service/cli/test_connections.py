"""Connections that are held open by next to nothing, against a real server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.cli.connections import impatient

SILENCE_S = 0.3
STANDSTILL_S = 0.6
LARGE = 8_000_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers without reading the body; under /slow late, under /large much."""
    if scope["type"] != "http":
        return
    body = b"x" * LARGE if scope["path"] == "/large" else b"ok"
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * SILENCE_S)
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module", params=[H11Protocol, HttpToolsProtocol])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    protocol = impatient(request.param, SILENCE_S, STANDSTILL_S)
    config = uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def line(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        yield line


def until_closed(line: socket.socket, drip: bytes = b"") -> bytes:
    """Returns what comes until the other side closes; fails if it does not within some seconds."""
    line.settimeout(0.05)
    got, give_up = b"", time.monotonic() + 5
    while time.monotonic() < give_up:
        try:
            if drip:
                line.sendall(drip)
            if not (more := line.recv(65536)):
                return got
            got += more
        except TimeoutError:
            continue
        except OSError:
            return got
    raise AssertionError("the connection stays open")


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_half_a_head_is_not_waited_for(line: socket.socket, head: bytes):
    line.sendall(head)
    assert until_closed(line) == b""


def test_a_dripping_head_is_not_waited_for(line: socket.socket):
    line.sendall(b"GET / HTTP/1.1\r\nX-Drip: ")
    assert until_closed(line, drip=b"x") == b""


def test_a_second_head_that_stays_half_is_not_waited_for(line: socket.socket):
    line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
    assert until_closed(line).endswith(b"ok")


def test_a_body_that_nobody_reads_is_not_waited_for(line: socket.socket):
    line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert until_closed(line, drip=b"x").endswith(b"ok")


def test_an_answer_may_take_its_time(line: socket.socket):
    line.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_takes_is_given_up(port: int):
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", port))
        line.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(2 * STANDSTILL_S)
        assert len(until_closed(line)) < LARGE


def test_an_answer_that_is_taken_slowly_is_not(port: int):
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.connect(("127.0.0.1", port))
        line.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        line.settimeout(5)
        got, began = 0, time.monotonic()
        while piece := line.recv(1 << 20):
            got += len(piece)
            time.sleep(0.01)
        assert got > LARGE
        assert time.monotonic() - began > STANDSTILL_S
