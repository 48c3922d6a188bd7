from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bench.serving import until
from service.api.app import create_app
from service.core.errors import ModelUnavailable
from service.core.report import Outcome
from service.jobs.leases import Leases
from service.runtime.settings import Settings
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine, encoded, noise

WISH = {"prompt": "x", "seed": 1}


def measures(client: TestClient) -> dict[tuple[str, ...], float]:
    """Values by name and label values, in the order of the labels' names."""
    response = client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_jobs_are_counted_by_kind_and_state(client: TestClient, engine: ScriptedEngine):
    engine.outcome = Outcome.REPAIRED
    assert client.post("/generate", json=WISH).status_code == 200
    engine.failures = [RuntimeError("x")]
    assert client.post("/generate", json=WISH).status_code == 500
    assert client.post("/detect", files={"image": encoded(noise((8, 8)))}).status_code == 200
    told = measures(client)
    assert told["anatomend_jobs_total", "generate", "succeeded"] == 1
    assert told["anatomend_jobs_total", "generate", "failed"] == 1
    assert told["anatomend_jobs_total", "detect", "succeeded"] == 1
    assert told["anatomend_job_work_seconds_count", "generate"] == 2
    assert told["anatomend_job_wait_seconds_count", "detect"] == 1
    assert told["anatomend_phase_seconds_count", "detect"] == 2  # a picture is looked through, too
    assert told["anatomend_regions_found_total", "malformed_hand"] == 1
    assert told["anatomend_regions_repaired_total", "malformed_hand"] == 1
    assert ("anatomend_regions_kept_total", "malformed_hand") not in told
    assert sum(value for name, value in told.items() if name[0] == "anatomend_attempts_total") == 1
    assert measures(client)["anatomend_jobs_total", "generate", "succeeded"] == 1


def test_what_waits_is_told(client: TestClient, engine: ScriptedEngine):
    engine.gate = threading.Event()
    for _ in range(3):
        assert client.post("/generate", json=WISH, headers={"Prefer": "respond-async"}).status_code == 202
    assert engine.entered.wait(20)
    until(lambda: measures(client)["anatomend_queue_jobs",] == 2)
    told = measures(client)
    assert told["anatomend_queue_megapixel_steps",] > 0
    assert told["anatomend_worker_up",] == 1
    engine.gate.set()


def test_requests_are_counted_by_route_and_not_by_address(client: TestClient):
    for number in range(3):
        client.get(f"/jobs/{number}")
        client.get(f"/nothing/{number}")
    client.request("BREW", "/nothing")
    told = measures(client)
    assert told["anatomend_http_request_seconds_count", "GET", "/jobs/{job_id}", "404"] == 3
    assert told["anatomend_http_request_seconds_count", "GET", "other", "404"] == 3
    assert told["anatomend_http_request_seconds_count", "other", "other", "404"] == 1
    assert not any("/nothing" in part for name in told for part in name)


def test_cards_are_told_where_a_worker_has_them(client: TestClient):
    assert not any(name[0] == "anatomend_gpu_memory_bytes" for name in measures(client))
    context: Any = client.app.state.context
    worker = context.job_service.worker()
    card = {"device": "cuda:0", "total_bytes": 8, "used_bytes": 4, "allocated_bytes": 2, "reserved_bytes": 3}
    Leases(context.job_service.database, worker.id).tell(dataclasses.replace(worker, gpu=(card,)))
    used = ("anatomend_gpu_memory_bytes", "cuda:0", "used")
    told = until(lambda: (now := measures(client)).get(used) == 4 and now)
    assert told["anatomend_gpu_memory_bytes", "cuda:0", "allocated"] == 2


def test_a_start_is_over_once_the_models_were_loaded(settings: Settings, engine: ScriptedEngine):
    loaded = threading.Event()

    def load(_: Settings) -> ScriptedEngine:
        assert loaded.wait(20)
        return engine

    with TestClient(create_app(settings, load)) as client:
        assert_problem(client.get("/startupz"), 503, "not_ready")
        assert measures(client)["anatomend_worker_up",] == 0
        loaded.set()
        until(lambda: client.get("/startupz").status_code == 200)
        client.app.state.context.job_service.drain()
        assert client.get("/readyz").status_code == 503
        assert client.get("/startupz").json() == {"status": "started"}


def test_a_start_that_fails_says_why(settings: Settings):
    def load(_: Settings) -> ScriptedEngine:
        raise ModelUnavailable("no such folder", allowed="a folder")

    failed = threading.Event()
    with TestClient(create_app(settings, load, failed.set)) as client:
        assert failed.wait(20)
        assert_problem(client.get("/startupz"), 503, "model_unavailable")


def test_every_request_is_one_line_without_its_query(client: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    client.get("/jobs/7?token=secret")
    client.get("/livez")
    lines = [record for record in caplog.records if record.name == "service.api.middleware.request_log"]
    assert [line.getMessage() for line in lines] == ["GET /jobs/7 404"]
    assert lines[0].route == "/jobs/{job_id}"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("service")]
    assert "secret" not in "".join(ours)
