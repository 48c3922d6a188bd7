"""Nobody takes all of it: limits of a job, of a key, and what is left when one is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bench.serving import until
from service.database.connect import Database
from service.database.schema import jobs
from service.engine.stub import StubEngine
from service.keys.records import Scope, add_key, revoke_key
from service.runtime.settings import Settings
from tests.service.api.test_jobs import LATER, WISH, events_of
from tests.service.api.test_keys import bearer
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine, encoded, noise

HOSTILE_IDS = ("1" + "0" * 30, "9" * 5000, "-1", "1.5", "x", "٣", "9223372036854775807")
PICTURE = {"image": encoded(noise((24, 32)))}


def uploads(settings: Settings) -> list[Path]:
    return list((settings.data_dir / "inputs").rglob("*.png"))


@pytest.mark.parametrize("value", HOSTILE_IDS)
def test_a_last_event_id_that_nobody_was_given_is_refused_and_news_go_on(client: TestClient, value: str):
    job_id = client.post("/generate", json=WISH).json()["id"]
    headers = {"Last-Event-ID": value.encode()}
    refused = assert_problem(
        client.get(f"/jobs/{job_id}/events", headers=headers), 400, "invalid_last_event_id"
    )
    assert "from 0 to" in refused["allowed"]
    assert client.post("/generate", json=WISH, headers={"Prefer": "wait=10"}).status_code == 200


def test_whoever_has_seen_the_end_of_a_job_is_not_kept(client: TestClient):
    job_id = client.post("/generate", json=WISH).json()["id"]
    told = list(events_of(client.get(f"/jobs/{job_id}/events")))
    assert told[-1][1] == "done"
    again = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": str(told[-1][0])})
    assert (again.status_code, again.content) == (204, b"")


def test_a_job_that_would_take_a_day_is_refused_with_what_is_allowed(serve, engine: ScriptedEngine):
    with serve(max_side_px=2048) as client:
        asked = {"width": 2048, "height": 2048, "num_inference_steps": 200, "num_images": 8, "best_of": 8}
        refused = assert_problem(
            client.post("/generate", json=WISH | asked, headers=LATER), 422, "job_too_large"
        )
        assert refused["allowed"]["megapixel_steps"] == 10_000
        assert "num_images" in refused["allowed"]["by"]
        assert client.get("/jobs").json()["jobs"] == []


def test_a_job_that_takes_too_long_is_stopped_between_two_steps(serve):
    with serve(load=lambda _: StubEngine(0.05), job_time_limit_s=1.0) as client:
        stopped = client.post("/generate", json=WISH | {"num_inference_steps": 200})
        assert assert_problem(stopped, 504, "time_limit")["allowed"]["seconds"] == 1.0
        assert client.post("/generate", json=WISH | {"num_inference_steps": 1}).status_code == 200


@pytest.mark.parametrize("path", ["/repair", "/detect"])
def test_a_refused_upload_leaves_no_file(serve, engine: ScriptedEngine, settings: Settings, path: str):
    engine.gate = threading.Event()
    with serve(queue_jobs=1) as client:
        client.post("/generate", json=WISH, headers=LATER)
        assert engine.entered.wait(20)
        client.post("/generate", json=WISH, headers=LATER)
        for headers in (LATER, LATER | {"Idempotency-Key": "k"}):
            refused = client.post(path, files=PICTURE, headers=headers)
            assert_problem(refused, 503, "queue_full")
            assert uploads(settings) == []
        engine.gate.set()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post(path, files=PICTURE).status_code == 200
        assert len(uploads(settings)) == 1


def test_a_repair_that_is_too_large_leaves_no_file(serve, settings: Settings):
    with serve(job_megapixel_steps=1) as client:
        assert_problem(client.post("/repair", files=PICTURE), 422, "job_too_large")
        assert uploads(settings) == []


def test_one_bad_row_hides_no_other_job(client: TestClient, settings: Settings):
    ids = [client.post("/generate", json=WISH).json()["id"] for _ in range(4)]
    database = Database.of(settings)
    broken = {"request": "{", "result": '{"images": 3}', "created_at": 1e300}
    with database.write() as connection:
        for job_id, (column, value) in zip(ids, broken.items(), strict=False):
            connection.execute(jobs.update().where(jobs.c.id == job_id).values({column: value}))
    database.close()
    listed = client.get("/jobs")
    assert listed.status_code == 200
    assert [job["id"] for job in listed.json()["jobs"]] == [ids[3]]
    for job_id in ids[:3]:
        assert_problem(client.get(f"/jobs/{job_id}"), 500, "unreadable_job")


def test_interrupt_finds_the_running_job_behind_sixty_newer_ones(client: TestClient, engine: ScriptedEngine):
    engine.gate = threading.Event()
    running = client.post("/generate", json=WISH, headers=LATER).json()["id"]
    assert engine.entered.wait(20)
    for _ in range(60):
        client.post("/generate", json=WISH, headers=LATER)
    assert client.get("/sdapi/v1/progress").json()["state"]["job_count"] == 61
    client.post("/sdapi/v1/interrupt")
    told = client.get("/sdapi/v1/progress").json()["state"]
    assert (told["job"], told["interrupted"]) == (running, True)
    engine.gate.set()


def test_what_a_revoked_key_has_left_is_stopped(settings: Settings, serve, engine: ScriptedEngine):
    database = Database.of(settings)
    database.migrate()
    (ada, ada_secret), (root, root_secret) = (add_key(database, n, [Scope.ADMIN]) for n in ("ada", "root"))
    _, secret = add_key(database, "last")
    engine.gate = threading.Event()
    with serve() as client:
        running = client.post("/generate", json=WISH, headers=LATER | bearer(ada_secret)).json()["id"]
        assert engine.entered.wait(20)
        waiting = client.post("/generate", json=WISH, headers=LATER | bearer(ada_secret)).json()["id"]
        streams: dict[str, str] = {}

        def follow() -> None:  # another key's stream of a job that goes on
            streams["root"] = client.get(f"/jobs/{running}/events", headers=bearer(root_secret)).text

        stream = threading.Thread(target=follow)
        stream.start()
        revoke_key(database, root.id)
        stream.join(20)
        assert not stream.is_alive()
        assert "event: done" not in streams["root"]
        revoke_key(database, ada.id)
        admin = bearer(add_key(database, "new", [Scope.ADMIN])[1])
        until(lambda: client.get(f"/jobs/{waiting}", headers=admin).status_code == 200)
        assert until(lambda: client.get(f"/jobs/{waiting}", headers=admin).json()["state"] == "cancelled")
        engine.gate.set()
        assert until(lambda: client.get(f"/jobs/{running}", headers=admin).json()["state"] == "cancelled")
        assert client.post("/generate", json=WISH, headers=bearer(secret)).status_code == 200
    database.close()
