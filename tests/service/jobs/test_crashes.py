"""Real processes, killed and stopped while they work."""

from __future__ import annotations

import random
import signal
import socket
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest

from bench.serving import Service, until

STEPS = 4
LATER = {"Prefer": "respond-async"}
FINAL = {"succeeded", "failed", "cancelled"}


@pytest.fixture
def service(tmp_path: Path):
    with Service(tmp_path / "data", stub_step_ms=20) as running:
        yield running


def submit(client: httpx.Client, number: int) -> str:
    """Hands a job in again and again until it is acknowledged; its key makes it one job."""
    headers = LATER | {"Idempotency-Key": f"job-{number}"}
    while True:
        try:
            response = client.post("/generate", json={"prompt": f"job {number}"}, headers=headers)
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        if response.status_code in (200, 202):
            return str(response.json()["id"])
        assert response.status_code == 503, response.text
        time.sleep(0.05)


def rows(data: Path, query: str) -> list[tuple]:
    with sqlite3.connect(data / "anatomend.sqlite3", timeout=10) as connection:
        return connection.execute(query).fetchall()


def check_ended_once(data: Path, ids: set[str]) -> None:
    states = dict(rows(data, "SELECT id, state FROM jobs"))
    assert set(states) == ids, "none lost, none made up"
    assert set(states.values()) <= FINAL
    done = Counter(job for (job,) in rows(data, "SELECT job_id FROM job_events WHERE type = 'done'"))
    assert set(done) == ids
    assert set(done.values()) == {1}, "none ended twice"


def storm(service: Service, jobs: int, worker_kills: int, web_kills: int) -> None:
    """Jobs are handed in while worker and web are killed at random moments."""
    rng = random.Random(0)
    with service.client() as client, ThreadPoolExecutor(4) as pool:
        posts = [pool.submit(submit, client, number) for number in range(jobs)]
        for victim in rng.sample(["worker"] * worker_kills + ["web"] * web_kills, worker_kills + web_kills):
            time.sleep(rng.uniform(0.05, 0.4))
            if victim == "web":
                service.kill_web()
                service.start()
            else:
                service.kill_worker()
        ids = {post.result(300) for post in posts}
    until(lambda: all(s in FINAL for (s,) in rows(service.data, "SELECT state FROM jobs")), 300)
    check_ended_once(service.data, ids)
    failed = rows(service.data, "SELECT problem FROM jobs WHERE state = 'failed'")
    assert all("worker_died" in problem for (problem,) in failed)
    assert len(failed) <= worker_kills // 3


def test_kill_9_of_worker_and_web_loses_no_job_and_ends_none_twice(service):
    storm(service, jobs=20, worker_kills=2, web_kills=1)


@pytest.mark.slow
def test_kill_9_of_the_worker_25_times_and_of_the_web_5_times(service):
    storm(service, jobs=250, worker_kills=25, web_kills=5)


def test_sigterm_in_the_middle_of_a_job_answers_those_who_wait_and_keeps_the_job(tmp_path):
    with Service(tmp_path / "data", stub_step_ms=200, drain_s=0.5) as service:
        with service.client() as client, ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(
                client.post, "/generate", json={"prompt": "x", "num_inference_steps": 20, "seed": 5}
            )
            until(lambda: client.get("/jobs").json()["jobs"][:1])
            job_id = client.get("/jobs").json()["jobs"][0]["id"]
            until(lambda: client.get(f"/jobs/{job_id}").json()["state"] == "running")
            service.process.send_signal(signal.SIGTERM)
            answer = waiting.result(30)
        assert (answer.status_code, answer.json()["id"]) == (202, job_id)
        assert service.process.wait(40) in (0, -signal.SIGTERM)  # uvicorn passes the signal on at its end
        assert rows(service.data, "SELECT state, attempts FROM jobs") == [("queued", 0)]
        service.start()
        with service.client() as client:
            until(lambda: client.get(f"/jobs/{job_id}").json()["state"] == "succeeded", 60)
        check_ended_once(service.data, {job_id})


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_clients_that_go_away_free_the_worker_within_one_step(tmp_path, times):
    with Service(tmp_path / "data", stub_step_ms=100) as service:
        body = b'{"prompt": "x", "num_inference_steps": 150}'
        head = (
            f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with service.client() as client:
            for _ in range(times):
                with socket.create_connection(("127.0.0.1", service.port)) as connection:
                    connection.sendall(head.encode() + body)
                    job = until(lambda: _newest_running(client))
                until(lambda j=job: client.get(f"/jobs/{j}").json()["state"] == "cancelled", 10)
            assert client.post("/generate", json={"prompt": "x"}).status_code == 200


def _newest_running(client: httpx.Client) -> str | None:
    found = client.get("/jobs", params={"limit": 1}).json()["jobs"]
    seen = found and found[0]["state"] == "running" and found[0]["id"]
    return seen or None


def test_livez_answers_while_the_worker_is_busy(service):
    with service.client() as client:
        client.post("/generate", json={"prompt": "x", "num_inference_steps": 50}, headers=LATER)
        for _ in range(10):
            started = time.monotonic()
            assert client.get("/livez").status_code == 200
            assert time.monotonic() - started < 1


def test_a_stopped_worker_is_replaced_and_its_job_is_done_by_the_next(tmp_path):
    with Service(tmp_path / "data", stub_step_ms=100, stall_s=5) as service, service.client() as client:
        posted = client.post("/generate", json={"prompt": "x", "num_inference_steps": 30}, headers=LATER)
        job = f"/jobs/{posted.json()['id']}"
        until(lambda: client.get(job).json()["state"] == "running")
        stopped = service.worker()
        stopped.send_signal(signal.SIGSTOP)
        until(lambda: client.get(job).json()["state"] == "succeeded", 120)
        assert rows(service.data, "SELECT attempts FROM jobs") == [(2,)]
        assert not stopped.is_running()


def test_a_locked_database_is_a_503_and_nothing_is_lost(tmp_path):
    with Service(tmp_path / "data", stub_step_ms=5) as service, service.client() as client:
        kept = client.post("/generate", json={"prompt": "x"}).json()["id"]
        blocker = sqlite3.connect(service.data / "anatomend.sqlite3", isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        refused = client.post("/generate", json={"prompt": "x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert "retry-after" in refused.headers
        assert client.get("/livez").status_code == 200
        assert client.get(f"/jobs/{kept}").json()["state"] == "succeeded", "readers do not wait for a writer"
        blocker.execute("ROLLBACK")
        blocker.close()
        assert client.post("/generate", json={"prompt": "x"}).status_code == 200
