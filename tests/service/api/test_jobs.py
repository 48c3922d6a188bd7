"""Jobs over HTTP: now or later, followed, cancelled, repeated, refused."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bench.serving import until
from service.engine.stub import StubEngine
from service.jobs.job_listener import JobListener
from tests.service.problems import assert_problem
from tests.service.scripted import encoded, noise

WISH = {"prompt": "a hand", "seed": 1}
LATER = {"Prefer": "respond-async"}


def events_of(response: Any) -> Iterator[tuple[int, str, Any]]:
    """Id, type and data of each server-sent event."""
    for block in response.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != ":")
        if "event" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])


def ended(client, job_id: str) -> dict[str, Any]:
    def look() -> Any:
        job = client.get(f"/jobs/{job_id}").json()
        return job if job["state"] not in ("queued", "running") else None

    return until(look)


def test_respond_async_answers_at_once_with_an_address(client, engine):
    engine.gate = threading.Event()
    response = client.post("/generate", json=WISH, headers=LATER)
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    job = client.get(response.headers["location"]).json()
    assert job["id"] == response.json()["id"]
    assert (job["kind"], job["state"] in ("queued", "running"), job["result"]) == ("generate", True, None)
    assert job["request"]["prompt"] == "a hand"
    engine.gate.set()
    done = ended(client, job["id"])
    assert (done["state"], done["result"]["id"]) == ("succeeded", job["id"])
    assert client.get(done["result"]["images"][0]["url"]).status_code == 200


def test_the_same_record_either_way(client):
    at_once = client.post("/generate", json=WISH).json()
    later = ended(client, client.post("/generate", json=WISH, headers=LATER).json()["id"])
    assert client.get(f"/jobs/{at_once['id']}").json()["result"] == at_once
    assert later["result"]["images"] == at_once["images"], "the same request and seed, the same bytes"


def test_a_call_that_takes_too_long_becomes_a_job(serve, engine):
    engine.gate = threading.Event()
    with serve(sync_wait_s=0.3) as client:
        response = client.post("/generate", json=WISH)
        assert response.status_code == 202
        assert client.get(response.headers["location"]).json()["state"] == "running"
        engine.gate.set()
        assert ended(client, response.json()["id"])["state"] == "succeeded"


def test_prefer_wait_shortens_the_waiting(client, engine):
    engine.gate = threading.Event()
    started = time.monotonic()
    assert client.post("/generate", json=WISH, headers={"Prefer": "wait=0"}).status_code == 202
    assert time.monotonic() - started < 5
    engine.gate.set()


@pytest.mark.parametrize("path", ["/repair", "/detect"])
def test_uploads_can_be_jobs_as_well(client, path):
    response = client.post(path, files={"image": encoded(noise((24, 32)))}, headers=LATER)
    assert response.status_code == 202
    assert ended(client, response.json()["id"])["state"] == "succeeded"


def test_an_upload_keeps_its_address(client):
    content = encoded(noise((24, 32)))
    job = client.post("/repair", files={"image": content}, headers=LATER).json()
    response = client.get(job["request"]["image_url"])
    assert (response.content, response.headers["content-type"]) == (content, "image/png")
    assert_problem(client.get(f"/jobs/{job['id']}/inputs/mask"), 404, "unknown_file")


def test_events_tell_the_whole_story_and_resume(serve):
    with serve(load=lambda _: StubEngine(0.02)) as client:
        job = client.post("/repair", files={"image": encoded(noise((24, 32)))}, headers=LATER).json()
        told = list(events_of(client.get(f"/jobs/{job['id']}/events")))
        kinds = [kind for _, kind, _ in told]
        assert kinds[0] == "state"
        assert kinds[-1] == "done"
        assert {"progress", "regions", "attempt"} <= set(kinds)
        assert told[-1][2]["result"]["images"][0]["outcome"] == "repaired"
        ids = [number for number, _, _ in told]
        assert ids == sorted(ids)
        middle = ids[len(ids) // 2]
        rest = list(
            events_of(client.get(f"/jobs/{job['id']}/events", headers={"Last-Event-ID": str(middle)}))
        )
        assert rest == [event for event in told if event[0] > middle]


def test_previews_are_shown_while_it_runs_and_forgotten_afterwards(serve):
    with serve(load=lambda _: StubEngine(0.05)) as client:
        wish = WISH | {"num_inference_steps": 60}
        job = client.post("/generate", json=wish, headers=LATER).json()
        seen = [kind for _, kind, _ in events_of(client.get(f"/jobs/{job['id']}/events"))]
        assert "preview" in seen
        again = [kind for _, kind, _ in events_of(client.get(f"/jobs/{job['id']}/events"))]
        assert "preview" not in again
        assert again[-1] == "done"


def test_nobody_looks_on_and_there_are_no_previews(serve, monkeypatch):
    shown = []
    monkeypatch.setattr(JobListener, "preview", lambda *about: shown.append(about))
    with serve(load=lambda _: StubEngine(0.05)) as client:
        wish = WISH | {"num_inference_steps": 40}
        client.post("/generate", json=wish)
        assert not shown
        job = client.post("/generate", json=wish, headers=LATER).json()
        client.get(f"/jobs/{job['id']}/events")
        assert shown


def test_how_far_a_running_job_is(serve):
    with serve(load=lambda _: StubEngine(0.05)) as client:
        wish = WISH | {"num_inference_steps": 150}
        address = client.post("/generate", json=wish, headers=LATER).headers["location"]
        progress = until(lambda: client.get(address).json()["progress"])
        assert (progress["phase"], progress["total"]) == ("generate", 150)
        client.post(f"{address}/cancel")
        assert ended(client, address.rsplit("/", 1)[1])["progress"] is None


def test_cancel_stops_within_one_step_and_the_next_job_runs(serve):
    with serve(load=lambda _: StubEngine(0.05)) as client:
        wish = WISH | {"num_inference_steps": 150}
        job = client.post("/generate", json=wish, headers=LATER).json()
        until(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "running")
        asked = time.monotonic()
        client.post(f"/jobs/{job['id']}/cancel")
        done = ended(client, job["id"])
        assert (done["state"], done["result"]) == ("cancelled", None)
        assert time.monotonic() - asked < 3, "the run itself would have taken 7.5 s"
        assert client.post("/generate", json=WISH).status_code == 200


def test_cancel_of_a_finished_job_is_a_no_op(client):
    job_id = client.post("/generate", json=WISH).json()["id"]
    before = client.get(f"/jobs/{job_id}").json()
    assert client.post(f"/jobs/{job_id}/cancel").json() == before


def test_who_waits_for_a_cancelled_job_is_told(client, engine):
    engine.gate = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, "/generate", json=WISH)
        assert engine.entered.wait(20)
        second = pool.submit(client.post, "/generate", json=WISH)
        job = until(lambda: [j for j in client.get("/jobs").json()["jobs"] if j["state"] == "queued"])[0]
        client.post(f"/jobs/{job['id']}/cancel")
        assert_problem(second.result(20), 409, "cancelled")
        engine.gate.set()
        assert first.result(20).status_code == 200


def test_retry_makes_the_same_picture_again(client):
    response = client.post("/generate", json={"prompt": "x"})
    again = client.post(f"/jobs/{response.json()['id']}/retry")
    assert again.status_code == 202
    done = ended(client, again.json()["id"])
    assert done["result"]["images"] == response.json()["images"]


def test_equal_posts_with_a_key_make_one_job(client, engine):
    headers = {"Idempotency-Key": "k1"}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post("/generate", json=WISH, headers=headers), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(engine.requests) == 1
    other = client.post("/generate", json={"prompt": "other"}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    assert_problem(
        client.post("/generate", json=WISH, headers={"Idempotency-Key": ""}), 422, "invalid_parameter"
    )


def test_an_idempotent_post_without_a_seed_is_the_same_request(client):
    headers = {"Idempotency-Key": "k2"}
    first, second = (client.post("/generate", json={"prompt": "x"}, headers=headers) for _ in range(2))
    assert first.json() == second.json()


def test_a_full_queue_refuses_soon_and_is_not_ready(serve, engine):
    engine.gate = threading.Event()
    with serve(queue_jobs=2) as client:
        client.post("/generate", json=WISH, headers=LATER)
        assert engine.entered.wait(20)
        for _ in range(2):
            assert client.post("/generate", json=WISH, headers=LATER).status_code == 202
        refused = client.post("/generate", json=WISH, headers=LATER)
        assert_problem(refused, 503, "queue_full")
        assert int(refused.headers["retry-after"]) > 0
        assert until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/livez").status_code == 200
        engine.gate.set()
        assert until(lambda: client.get("/readyz").status_code == 200)


def test_too_many_of_one_callers_jobs_are_429(serve, engine):
    engine.gate = threading.Event()
    with serve(queue_jobs_per_key=1) as client:
        client.post("/generate", json=WISH, headers=LATER)
        assert engine.entered.wait(20)
        client.post("/generate", json=WISH, headers=LATER)
        refused = client.post("/generate", json=WISH, headers=LATER)
        assert_problem(refused, 429, "too_many_jobs")
        assert "retry-after" in refused.headers
        engine.gate.set()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/jobs/{}"),
        ("post", "/jobs/{}/cancel"),
        ("post", "/jobs/{}/retry"),
        ("get", "/jobs/{}/events"),
    ],
)
@pytest.mark.parametrize("name", ["0" * 32, "x", "%00", "é" * 40])
def test_an_unknown_job_is_told(client, method, path, name):
    assert_problem(getattr(client, method)(path.format(name)), 404, "unknown_job")


def test_pages_of_jobs(client):
    ids = [client.post("/generate", json=WISH).json()["id"] for _ in range(3)]
    first = client.get("/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in first["jobs"]] == ids[:0:-1]
    second = client.get("/jobs", params={"limit": 2, "before": first["next"]}).json()
    assert ([job["id"] for job in second["jobs"]], second["next"]) == ([ids[0]], None)
    assert client.get("/jobs", params={"limit": 0}).status_code == 422


def test_feedback_on_a_region_is_kept_and_the_last_word_counts(client):
    sha256 = client.post("/generate", json=WISH).json()["images"][0]["sha256"]
    address = f"/images/{sha256}/feedback"
    for verdict in ("still_wrong", "was_fine"):
        assert client.post(address, json={"region": 0, "verdict": verdict}).status_code == 201
    unknown = client.post(f"/images/{'0' * 64}/feedback", json={"region": 0, "verdict": "was_fine"})
    assert_problem(unknown, 404, "unknown_image")
    assert client.post(address, json={"region": 0, "verdict": "nice"}).status_code == 422
