"""Overhead of the service over the engine, and its behaviour under load.

``python -m bench.service load --jobs 1000 --clients 50`` · ``overload`` · ``overhead``. Each starts a service
of its own, with the simulated model unless ``--model bundled`` is said, and prints a table.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import numpy as np

from bench.intervals import machine, table
from bench.serving import Service
from service.engine.protocol import load_engine
from service.runtime.library_env import set_library_env
from service.runtime.settings import Settings
from service.schemas.requests import GenerateBody

LATER = {"Prefer": "respond-async"}
QUEUE = 20
FINAL = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Post:
    """One submission: its status, how long it took to be answered, and the job's id if there is one."""

    status: int
    seconds: float
    job_id: str | None


async def post_all(url: str, count: int, clients: int, steps: int | None = None) -> list[Post]:
    """Hands in ``count`` jobs, by so many clients at a time that each wait for their answer."""
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    numbers = iter(range(count))
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def one_client() -> list[Post]:
            made = []
            for number in numbers:
                body = {
                    "prompt": f"a hand, {number}",
                    "seed": number,
                    "num_inference_steps": steps,
                    "repair": False,
                }
                started = time.perf_counter()
                response = await client.post("/generate", json=body | {"repair": False}, headers=LATER)
                job_id = response.json()["id"] if response.status_code == 202 else None
                made.append(Post(response.status_code, time.perf_counter() - started, job_id))
            return made

        posts = await asyncio.gather(*(one_client() for _ in range(clients)))
    return [post for made in posts for post in made]


def wait_for_all(client: httpx.Client, ids: set[str]) -> dict[str, str]:
    """The state of each job, once all have ended."""
    while True:
        states: dict[str, str] = {}
        before: str | None = None
        while True:
            query: dict[str, str | int] = {"limit": 100} | ({"before": before} if before else {})
            page = client.get("/jobs", params=query).json()
            states |= {job["id"]: job["state"] for job in page["jobs"]}
            before = page["next"]
            if before is None:
                break
        if all(states[job] in FINAL for job in ids):
            return {job: states[job] for job in ids}
        time.sleep(0.5)


def load(args: argparse.Namespace) -> list[list[object]]:
    """Jobs from many clients at once: what is lost, and how long a submission takes."""
    rows: list[list[object]] = []
    for clients in args.clients:
        with tempfile.TemporaryDirectory() as folder:
            options = {
                "model": args.model,
                "queue_jobs": 10 * args.jobs,
                "queue_jobs_per_key": 10 * args.jobs,
            }
            with Service(Path(folder) / "data", queue_megapixel_steps=1e9, **options) as service:
                started = time.perf_counter()
                posts = asyncio.run(post_all(service.url, args.jobs, clients, args.steps))
                submitted = time.perf_counter() - started
                ids = {post.job_id for post in posts if post.job_id}
                with service.client() as client:
                    states = wait_for_all(client, ids)
                total = time.perf_counter() - started
        seconds = np.array([post.seconds for post in posts])
        lost = args.jobs - sum(state == "succeeded" for state in states.values())
        p50, p99 = np.percentile(seconds, [50, 99])
        rows.append(
            [args.model, clients, args.jobs, lost, f"{p50 * 1000:.0f} ms", f"{p99 * 1000:.0f} ms",
             f"{submitted:.1f} s", f"{total:.1f} s"]
        )  # fmt: skip
    print(machine())
    head = ["model", "clients", "jobs", "lost", "p50 of submission", "p99", "all handed in", "all done"]
    print(table(head, rows))
    return rows


def overload(args: argparse.Namespace) -> list[list[object]]:
    """Ten times as much as the queue holds: how soon the rest is refused."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", stub_step_ms=500, queue_jobs=QUEUE) as service,
    ):
        posts = asyncio.run(post_all(service.url, 200, args.clients[0]))
    refused = np.array([post.seconds for post in posts if post.status == 503])
    accepted = [post for post in posts if post.status == 202]
    p50, p99 = np.percentile(refused, [50, 99])
    rows: list[list[object]] = [
        [
            args.clients[0],
            len(posts),
            len(accepted),
            len(refused),
            f"{p50 * 1000:.0f} ms",
            f"{p99 * 1000:.0f} ms",
        ]
    ]
    print(machine())
    print(table(["clients", "posts", "let in", "refused", "p50 of refusal", "p99"], rows))
    return rows


def overhead(args: argparse.Namespace) -> list[list[object]]:
    """The same call made to the engine and over HTTP through the queue, one after the other."""
    settings = Settings(model=args.model)
    set_library_env(settings)
    engine = load_engine(settings)
    body = GenerateBody(prompt="a hand", seed=1, num_inference_steps=args.steps, repair=False)
    asked = body.model_dump(mode="json")
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", model=args.model) as service,
        service.client() as client,
    ):
        # In turn, call by call: a shared machine is now faster, now slower, by more than what is measured.
        direct, served = _timed_in_turn(
            lambda: engine.generate(body.to_request()),
            lambda: client.post("/generate", json=asked).raise_for_status(),
            args.repeat,
        )
    added = statistics.median(over - bare for bare, over in zip(direct, served, strict=True))
    medians = statistics.median(direct), statistics.median(served)
    rows: list[list[object]] = [
        [args.model, args.repeat, *(f"{s * 1000:.0f} ms" for s in (*medians, added)),
         f"{added / medians[0]:.1%}"]
    ]  # fmt: skip
    print(machine())
    print(table(["model", "calls", "engine, median", "HTTP, median", "added", "share"], rows))
    return rows


def _timed_in_turn(
    one: Callable[[], object], other: Callable[[], object], repeat: int
) -> tuple[list[float], list[float]]:
    """Seconds of each call, the first of both left out."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(repeat + 1):
        for call, taken in zip((one, other), seconds, strict=True):
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return seconds[0][1:], seconds[1][1:]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("load", "overload", "overhead"))
    parser.add_argument("--model", default="stub")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("--repeat", type=int, default=20)
    args = parser.parse_args()
    {"load": load, "overload": overload, "overhead": overhead}[args.what](args)


if __name__ == "__main__":
    main()
