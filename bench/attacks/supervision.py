"""Kills, or stops, the worker in the middle of a job while the database cannot be written, again and again.

A round is good if within 30 s of the end of the trouble a new worker is ready, and the job is done by it.
"""

from __future__ import annotations

import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import psutil

from bench.postgres import PostgresServer
from bench.serving import Service, until

LIMIT_S = 30.0
LOCK_S, AWAY_S = 9.0, 12.0
STALL_S = 5.0
DISK = "8m"
STEPS, STEP_MS = 60, 50
HEAD = ("rounds", "new worker within 30 s", "median", "slowest", "jobs done", "livez answered")

Cause = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Round:
    """Result of one round: seconds from the trouble's end until a new worker was ready, and two checks."""

    ready_s: float
    is_done: bool
    is_alive: bool


def worker_killed_while_disk_full(rounds: int) -> Sequence[Sequence[object]]:
    """Kills the worker while the data folder, a small file system in memory, is full; needs root."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(data)], check=True)
        try:
            with Service(data, stub_step_ms=STEP_MS) as service:
                return _rounds(service, rounds, lambda: _full(data / "filler"), AWAY_S)
        finally:
            subprocess.run(["umount", str(data)], check=True)


def worker_killed_while_locked(rounds: int) -> Sequence[Sequence[object]]:
    """Kills the worker while another process holds SQLite's write lock."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", stub_step_ms=STEP_MS) as service,
    ):
        return _rounds(service, rounds, lambda: _locked(service.data / "anatomend.sqlite3"), LOCK_S)


def worker_killed_while_postgresql_is_away(rounds: int) -> Sequence[Sequence[object]]:
    """Kills the worker while the PostgreSQL server is stopped, with all its connections."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer() as server,
        Service(Path(folder) / "data", stub_step_ms=STEP_MS, database_url=server.url) as service,
    ):
        return _rounds(service, rounds, lambda: _away(server), AWAY_S)


def worker_stopped(rounds: int) -> Sequence[Sequence[object]]:
    """Stops the worker with SIGSTOP; the service replaces it after ``ANATOMEND_STALL_S``."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", stub_step_ms=STEP_MS, stall_s=STALL_S) as service,
    ):
        return _rounds(service, rounds, nullcontext, 0.0, signal.SIGSTOP)


ATTACKS = {
    "worker-disk-full": worker_killed_while_disk_full,
    "worker-locked": worker_killed_while_locked,
    "worker-postgresql-away": worker_killed_while_postgresql_is_away,
    "worker-stopped": worker_stopped,
}


def _rounds(
    service: Service, rounds: int, cause: Cause, hold_s: float, blow: signal.Signals = signal.SIGKILL
) -> Sequence[Sequence[object]]:
    with service.client() as client:
        made = [_round(service, client, cause, hold_s, blow) for _ in range(rounds)]
    seconds = [one.ready_s for one in made]
    good = sum(one.ready_s <= LIMIT_S for one in made)
    done, alive = sum(one.is_done for one in made), sum(one.is_alive for one in made)
    slowest = f"{max(seconds):.1f} s"
    row = (rounds, good, f"{statistics.median(seconds):.1f} s", slowest, done, f"{alive} of {rounds}")
    return [HEAD, row]


def _round(
    service: Service, client: httpx.Client, cause: Cause, hold_s: float, blow: signal.Signals
) -> Round:
    body = {"prompt": "a hand", "num_inference_steps": STEPS, "repair": False}
    posted = client.post("/generate", json=body, headers={"Prefer": "respond-async"})
    job = f"/jobs/{posted.raise_for_status().json()['id']}"
    until(lambda: client.get(job).json()["state"] == "running")
    old: psutil.Process = until(service.worker)
    with cause():
        old.send_signal(blow)
        time.sleep(hold_s)
        is_alive = service.status("/livez") == 200
    ended = time.monotonic()
    try:
        until(lambda: _is_replaced(service, old), 4 * LIMIT_S)
        ready_s = time.monotonic() - ended
        until(lambda: client.get(job).json()["state"] == "succeeded", 4 * LIMIT_S)
    except AssertionError:
        return Round(float("inf"), is_done=False, is_alive=is_alive)
    return Round(ready_s, is_done=True, is_alive=is_alive)


def _is_replaced(service: Service, old: psutil.Process) -> bool:
    new = service.worker()
    return new is not None and new != old and service.status("/readyz") == 200


@contextmanager
def _full(filler: Path) -> Iterator[None]:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:  # no room for so much
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    holder = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")
    finally:
        holder.close()


@contextmanager
def _away(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()
