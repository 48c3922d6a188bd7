"""Attacks on the queue and on its events: a crowd, a key that fills the queue, invalid event ids.

Each starts a service of its own with the simulated model.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

from bench.serving import Service
from service.database.connect import Database
from service.keys.records import Scope, add_key
from service.runtime.settings import Settings

CALLERS = 600
GREEDY_POSTS = 1000
GREEDY_CLIENTS = 20
STEP_MS = 100
LATER = {"Prefer": "respond-async"}
REQUEST = {"prompt": "a hand", "seed": 1, "repair": False}
HOSTILE_IDS = ("1" + "0" * 30, "9" * 5000, "-1", "1.5", "x", "٣", "9223372036854775807")
PATIENCE_S = 10.0
"""A service that still reads its events answers sooner."""


def crowd(callers: int = CALLERS) -> list[object]:
    """Sends many synchronous calls at once; reports their times and how many return a picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", queue_jobs=10 * callers, queue_jobs_per_key=10 * callers) as service,
    ):
        answers = asyncio.run(_call_all(service.url, callers))
    p50, p99 = np.percentile([seconds for _, seconds in answers], [50, 99])
    good = sum(status == 200 for status, _ in answers)
    return [f"{callers} synchronous callers", f"p50 {p50:.2f} s, p99 {p99:.2f} s, {good} answered 200"]


def greedy_key() -> list[object]:
    """Submits a thousand jobs with one key; reports how many of them begin before another key's only job."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        greedy, other = _keys(data)
        # Twice the room: a key may not hold more than it leaves to others.
        with Service(data, stub_step_ms=STEP_MS, queue_jobs=2 * GREEDY_POSTS + 10) as service:
            statuses = asyncio.run(_post_all(service.url, greedy))
            with service.client() as client:
                answer = client.post("/generate", json=REQUEST, headers=other)
                before = _begun_before(client, answer, greedy, other) if answer.status_code == 200 else None
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    other_job = f"{answer.status_code}, {before} of the first key's jobs begun before its own"
    return [f"{GREEDY_POSTS} jobs of one key", f"{counts}; the other key: {other_job}"]


def hostile_ids() -> list[object]:
    """Sends invalid values of ``Last-Event-ID``; reports the answers, and the time of the next call."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data") as service,
        service.client() as client,
    ):
        job_id = client.post("/generate", json=REQUEST).json()["id"]
        statuses = Counter(_status(client, job_id, value.encode()) for value in HOSTILE_IDS)
        started = time.perf_counter()
        answer = client.post("/generate", json=REQUEST, headers={"Prefer": f"wait={PATIENCE_S:.0f}"})
        seconds = time.perf_counter() - started
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items(), key=str))
    return ["hostile Last-Event-ID", f"{counts}; the next call: {answer.status_code} after {seconds:.2f} s"]


async def _call_all(url: str, callers: int) -> list[tuple[int, float]]:
    limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
    async with httpx.AsyncClient(base_url=url, timeout=180, limits=limits) as client:

        async def call(number: int) -> tuple[int, float]:
            started = time.perf_counter()
            response = await client.post("/generate", json=REQUEST | {"seed": number})
            return response.status_code, time.perf_counter() - started

        return await asyncio.gather(*(call(number) for number in range(callers)))


async def _post_all(url: str, key: dict[str, str]) -> Counter[int]:
    numbers = iter(range(GREEDY_POSTS))
    async with httpx.AsyncClient(base_url=url, timeout=60, headers=key | LATER) as client:

        async def post() -> Counter[int]:
            return Counter(
                [(await client.post("/generate", json=REQUEST | {"seed": n})).status_code for n in numbers]
            )

        return sum(await asyncio.gather(*(post() for _ in range(GREEDY_CLIENTS))), Counter())


def _keys(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Returns headers with two keys of a service that will be started on this folder."""
    database = Database.of(Settings(data_dir=data))
    database.migrate()
    secrets = [add_key(database, name, [Scope.USE])[1] for name in ("greedy", "other")]
    database.close()
    greedy, other = ({"Authorization": f"Bearer {secret}"} for secret in secrets)
    return greedy, other


def _begun_before(
    client: httpx.Client, answer: httpx.Response, greedy: dict[str, str], other: dict[str, str]
) -> int:
    """Returns the number of the greedy key's jobs that were begun while the other key's only job waited."""
    one = client.get(f"/jobs/{answer.headers['x-anatomend-job']}", headers=other).json()
    jobs: list[dict[str, Any]] = []
    before: str | None = None
    while True:
        query: dict[str, str | int] = {"limit": 100} | ({"before": before} if before else {})
        page = client.get("/jobs", params=query, headers=greedy).json()
        jobs += page["jobs"]
        before = page["next"]
        if before is None:
            break
    return sum(
        job["started_at"] is not None and one["created_at"] <= job["started_at"] < one["started_at"]
        for job in jobs
    )


def _status(client: httpx.Client, job_id: str, last_event_id: bytes) -> int | str:
    try:
        where = f"/jobs/{job_id}/events"
        return client.get(where, headers={b"Last-Event-ID": last_event_id}, timeout=2).status_code
    except httpx.TimeoutException:
        return "no answer"


HEAD = ("attack", "seen")
ATTACKS: Mapping[str, Callable[[], list[list[object]]]] = {
    "queue-crowd": lambda: [crowd()],
    "queue-greedy-key": lambda: [greedy_key()],
    "queue-hostile-ids": lambda: [hostile_ids()],
}
