"""Tests what holds for the service as a whole: readiness, one call at a time, failures, addresses, limits."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.core.errors import InvalidSettings, ModelUnavailable
from service.runtime.settings import Settings
from tests.service.live import until_ready
from tests.service.problems import assert_problem
from tests.service.scripted import MODELS, ScriptedEngine, encoded, noise

WISH = {"prompt": "x", "seed": 1}


def test_livez_answers_while_the_models_load(settings: Settings, engine: ScriptedEngine):
    loaded = threading.Event()

    def load(_: Settings) -> ScriptedEngine:
        assert loaded.wait(20)
        return engine

    with TestClient(create_app(settings, load)) as client:
        assert client.get("/livez").json() == {"status": "alive"}
        not_ready = client.get("/readyz")
        assert_problem(not_ready, 503, "not_ready")
        assert int(not_ready.headers["retry-after"]) > 0
        assert_problem(client.post("/generate", json=WISH), 503, "not_ready")
        assert_problem(client.get("/models"), 503, "not_ready")
        loaded.set()
        until_ready(client)
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.post("/generate", json=WISH).status_code == 200


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ModelUnavailable("no such folder", allowed="bundled, a folder"), "model_unavailable"),
        (RuntimeError("secret"), "model_unavailable"),
    ],
)
def test_models_that_cannot_be_loaded_are_told(settings: Settings, failure, code):
    told = threading.Event()

    def load(_: Settings) -> ScriptedEngine:
        raise failure

    with TestClient(create_app(settings, load, told.set)) as client:
        assert told.wait(20)
        response = client.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, code)
        assert "secret" not in response.text
        assert client.get("/livez").status_code == 200


def test_requests_wait_for_each_other_and_livez_for_none(client, engine: ScriptedEngine):
    engine.gate = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        posts = [pool.submit(client.post, "/generate", json=WISH) for _ in range(3)]
        assert engine.entered.wait(20)
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        engine.gate.set()
        assert [post.result(20).status_code for post in posts] == [200] * 3
    assert engine.most_running == 1
    assert len(engine.requests) == 3


def test_a_failing_run_answers_500_and_the_next_one_works(client, engine: ScriptedEngine, caplog):
    engine.failures = [RuntimeError("a secret from within")]
    with caplog.at_level(logging.ERROR):
        response = client.post("/generate", json=WISH)
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == "internal_error"
    assert problem["id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    job_id = client.get("/jobs").json()["jobs"][0]["id"]
    assert job_id in problem["detail"]
    record = next(record for record in caplog.records if job_id in record.getMessage())
    assert "a secret from within" in str(record.exc_info)
    assert client.post("/generate", json=WISH).status_code == 200


def test_a_folder_that_cannot_be_written_is_told_before_the_service_starts(settings, tmp_path, engine):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidSettings, match="ANATOMEND_DATA_DIR"):
        create_app(settings.model_copy(update={"data_dir": tmp_path / "file"}), lambda _: engine)


def test_the_engines_own_refusals_keep_their_code(client, engine: ScriptedEngine):
    engine.failures = [ModelUnavailable("gone", allowed=["bundled"])]
    assert_problem(client.post("/generate", json=WISH), 503, "model_unavailable")


@pytest.mark.parametrize(
    "name",
    [
        "0" * 64,
        "0" * 63,
        "0" * 65,
        "A" * 64,
        "g" * 64,
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5c",
        "0" * 63 + "%00",
        "0" * 64 + "%0a",
        "０" * 64,
    ],
)
def test_unknown_pictures(client, name):
    response = client.get(f"/images/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] in {"unknown_image", "not_found"}
    assert response.json()["allowed"]


def test_pictures_may_be_kept_for_ever(client):
    url = client.post("/generate", json=WISH).json()["images"][0]["url"]
    response = client.get(url)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in response.headers["cache-control"]
    again = client.get(url, headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_models(client):
    body = client.get("/models").json()
    assert {card["role"]: card["id"] for card in body["models"]} == MODELS
    assert "malformed_hand" in body["class_names"]


def test_unknown_address_and_method(client):
    assert "/generate" in assert_problem(client.get("/nothing"), 404, "not_found")["allowed"]
    response = client.get("/generate")
    assert assert_problem(response, 405, "method_not_allowed")["allowed"] == ["POST"]
    assert response.headers["allow"] == "POST"


def test_the_docs_ask_no_other_host(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/generate", "/repair", "/detect", "/images/{sha256}", "/jobs/{job_id}/events"} <= set(paths)
    form = paths["/repair"]["post"]["requestBody"]["content"]
    assert set(form) == {"multipart/form-data"}


def _form(content: bytes, boundary: bytes = b"frontier"):
    yield b"--" + boundary + b'\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    for start in range(0, len(content), 1 << 16):
        yield content[start : start + (1 << 16)]
    yield b"\r\n--" + boundary + b"--\r\n"


FORM = {"Content-Type": "multipart/form-data; boundary=frontier"}


def test_a_body_without_length_is_limited_while_it_is_read(serve, engine: ScriptedEngine):
    with serve(max_upload_mb=1) as client:
        sent = 0

        def endless():
            nonlocal sent
            for part in _form(b"\xff" * 8_000_000):
                sent += len(part)
                yield part

        assert_problem(client.post("/repair", content=endless(), headers=FORM), 413, "too_many_bytes")
        assert not engine.requests
        ok = client.post("/repair", content=_form(encoded(noise((8, 8)))), headers=FORM)
        assert ok.status_code == 200


def test_a_body_that_announces_too_much_is_not_read(serve):
    with serve(max_upload_mb=1) as client:
        body = b"".join(_form(b"\xff" * 4_000_000))
        assert_problem(client.post("/repair", content=body, headers=FORM), 413, "too_many_bytes")
