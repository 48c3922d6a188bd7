"""A real service in processes of its own, to be asked, stopped and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

READY_S = 90


class Service:
    """``anatomend serve`` with the simulated model.

    Args:
        data: where it keeps its things; a service started there again goes on with them.
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
        """Begins, and returns when it is ready."""
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
        """A client of it; to be closed."""
        return httpx.Client(base_url=self.url, timeout=60)

    def status(self, path: str) -> int | None:
        """None while nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code
        except httpx.TransportError:
            return None

    def worker(self) -> psutil.Process | None:
        """The worker's process, if it lives."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
        return None

    def kill_worker(self) -> None:
        """Kill -9."""
        worker = until(self.worker, 20)
        worker.kill()
        worker.wait(10)

    def kill_web(self) -> None:
        """Kill -9, and wait until the worker has noticed."""
        assert self.process is not None
        worker = self.worker()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        if worker is not None:
            worker.wait(60)


def until(look: Callable[[], Any], limit_s: float = 20, why: Callable[[], object] = lambda: "") -> Any:
    """What ``look`` says, once that is true."""
    deadline = time.monotonic() + limit_s
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {limit_s} s. {why()}"
        time.sleep(0.02)
    return seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
