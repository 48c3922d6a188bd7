"""A real server in a thread of this process, for clients that want an address."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import uvicorn

from bench.serving import until
from service.api.app import create_app
from service.engine.protocol import Engine
from service.runtime.settings import Settings

READY_S = 60


def until_ready(client: httpx2.Client) -> None:
    """Returns when the service lets requests in; fails with its reason where that takes too long."""
    until(lambda: client.get("/readyz").status_code == 200, READY_S, lambda: client.get("/readyz").text)


@contextmanager
def live(settings: Settings, engine: Engine) -> Iterator[str]:
    """The address of a service with this engine, once that is loaded."""
    app = create_app(settings, lambda _: engine)
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="live")
    thread.start()
    try:
        until(lambda: server.started, READY_S)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx2.Client(base_url=url) as client:
            until_ready(client)
        yield url
    finally:
        app.state.context.job_service.drain()
        server.should_exit = True
        thread.join(20)
