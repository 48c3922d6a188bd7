"""A real server in a thread of this process, for clients that want an address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import uvicorn

from service.api.app import create_app
from service.jobs.engines import Engine
from service.settings import Settings

READY_S = 60


@contextmanager
def live(settings: Settings, engine: Engine) -> Iterator[str]:
    """The address of a service with this engine, once that is loaded."""
    app = create_app(settings, lambda _: engine)
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="live")
    thread.start()
    try:
        until = time.monotonic() + READY_S
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        while httpx2.get(f"{url}/readyz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield url
    finally:
        app.state.context.desk.drain()
        server.should_exit = True
        thread.join(20)
