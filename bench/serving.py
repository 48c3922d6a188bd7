"""A real service in processes of its own, for benches that call, stop and kill it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

READY_S = 90


class Service:
    """``anatomend serve`` with the simulated model.

    Args:
        data: its data folder; a service that is started there again goes on with the same jobs.
        environment: further settings.
    """

    def __init__(self, data: Path, **environment: Any) -> None:
        self.data = data
        self._environment = {f"ANATOMEND_{name.upper()}": str(value) for name, value in environment.items()}
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data.parent / "service.log"

    def start(self) -> Service:
        """Starts the service and returns when it is ready."""
        settings = {"ANATOMEND_MODEL": "stub", "ANATOMEND_DATA_DIR": str(self.data), "PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                env=os.environ | settings | self._environment, stdout=log, stderr=log,
                cwd=Path(__file__).resolve().parents[1],
            )  # fmt: skip
        until(lambda: self.status("/readyz") == 200, READY_S, lambda: self.log.read_text()[-3000:])
        return self

    def __enter__(self) -> Service:
        try:
            return self.start()
        except BaseException:  # or a service that is too slow to start would stay behind
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill_web()

    def client(self) -> httpx.Client:
        """Returns a client of the service; the caller closes it."""
        return httpx.Client(base_url=self.url, timeout=60)

    def status(self, path: str) -> int | None:
        """Returns the HTTP status of ``path``; None if there is no answer."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code
        except httpx.TransportError:
            return None

    def worker(self) -> psutil.Process | None:
        """Returns the worker's process; None if there is none."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # gone meanwhile, or a zombie
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
        return None

    def kill_worker(self) -> None:
        """Kills the worker with SIGKILL and waits until it is gone."""
        worker = until(self.worker, 20)
        worker.kill()
        worker.wait(10)

    def kill_web(self) -> None:
        """Kills the web process with SIGKILL and waits until the worker has ended too."""
        assert self.process is not None
        worker = self.worker()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        if worker is not None:
            worker.wait(60)


def until(look: Callable[[], Any], limit_s: float = 20, why: Callable[[], object] = lambda: "") -> Any:
    """Returns the first true result of ``look``.

    Raises:
        AssertionError: if there is none within ``limit_s`` seconds.
    """
    deadline = time.monotonic() + limit_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {limit_s} s. {why()}"
        time.sleep(0.02)
    return seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
