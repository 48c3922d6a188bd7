from __future__ import annotations

import base64
import logging
import threading
import time

import pytest
from fastapi.testclient import TestClient

from service.database.connect import Database
from service.keys.records import Scope, add_key, revoke_key
from service.runtime.settings import Settings
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine

WISH = {"prompt": "x", "seed": 1}


@pytest.fixture
def keys(settings: Settings) -> dict[str, str]:
    """Secrets by name, and ids by ``name_id``: two users and an admin."""
    database = Database.of(settings)
    database.migrate()
    made = {}
    for name, scope in (("ada", Scope.USE), ("bob", Scope.USE), ("root", Scope.ADMIN)):
        key, secret = add_key(database, name, [scope])
        made |= {name: secret, f"{name}_id": key.id}
    database.close()
    return made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_without_a_key_nobody_gets_in(keys, client: TestClient):
    for method, path in (
        ("POST", "/generate"), ("POST", "/repair"), ("POST", "/detect"), ("GET", "/models"), ("GET", "/jobs"),
        ("GET", "/jobs/0"), ("POST", "/jobs/0/cancel"), ("GET", "/images/0"), ("GET", "/metrics"),
        ("GET", "/nothing"), ("GET", "/livez/x"), ("GET", "/metrics/"), ("OPTIONS", "/generate"),
    ):  # fmt: skip
        response = client.request(method, path)
        assert_problem(response, 401, "missing_key")
        assert response.headers["www-authenticate"] == 'Bearer realm="anatomend"'


def test_some_addresses_are_open(keys, client: TestClient):
    for path in ("/livez", "/readyz", "/startupz", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_a_wrong_key(keys, client: TestClient):
    for headers in (
        {"Authorization": "Bearer wrong"},
        {"Authorization": "bearer anatomend_"},
        {"X-API-Key": "wrong"},
        {"Authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()},
        {"Authorization": "Bearer " + "é" * 40},
        {"Authorization": "Bearer " + "x" * 20_000},
    ):
        response = client.get("/models", headers={name: value.encode() for name, value in headers.items()})
        assert_problem(response, 401, "invalid_key")
        assert "invalid_token" in response.headers["www-authenticate"]


def test_a_header_without_a_key(keys, client: TestClient):
    for value in ("", "Bearer", "Bearer ", "Basic !", "Digest x"):
        assert_problem(client.get("/models", headers={"Authorization": value}), 401, "missing_key")


def test_every_way_to_send_a_key(keys, client: TestClient):
    basic = base64.b64encode(f"anyone:{keys['ada']}".encode()).decode()
    for headers in (bearer(keys["ada"]), {"X-API-Key": keys["ada"]}, {"Authorization": f"Basic {basic}"}):
        assert client.get("/models", headers=headers).status_code == 200
    assert client.get("/models", params={"key": keys["ada"]}).status_code == 401


def test_metrics_are_for_admins(keys, client: TestClient):
    response = client.get("/metrics", headers=bearer(keys["ada"]))
    assert assert_problem(response, 403, "missing_scope")["allowed"] == ["admin"]
    assert "insufficient_scope" in response.headers["www-authenticate"]
    assert client.get("/metrics", headers=bearer(keys["root"])).status_code == 200


def test_jobs_and_pictures_belong_to_their_key(keys, client: TestClient):
    ada, bob, root = (bearer(keys[name]) for name in ("ada", "bob", "root"))
    made = client.post("/generate", json=WISH, headers=ada)
    assert made.status_code == 200
    job, picture = f"/jobs/{made.headers['x-anatomend-job']}", made.json()["images"][0]["url"]
    for path in (job, f"{job}/events", picture):
        assert client.get(path, headers=ada).status_code == 200
        assert client.get(path, headers=bob).status_code == 404
        assert client.get(path, headers=root).status_code == 200
    for address in (f"{job}/cancel", f"{job}/retry"):
        assert_problem(client.post(address, headers=bob), 404, "unknown_job")
    verdict = {"region": 0, "verdict": "was_fine"}
    assert client.post(f"{picture}/feedback", json=verdict, headers=bob).status_code == 404
    assert client.post(f"{picture}/feedback", json=verdict, headers=ada).status_code == 201

    def listed(headers: dict[str, str]) -> list[str]:
        return [f"/jobs/{one['id']}" for one in client.get("/jobs", headers=headers).json()["jobs"]]

    assert (listed(ada), listed(bob), listed(root)) == ([job], [], [job])
    same = client.post("/generate", json=WISH, headers=bob).json()["images"][0]["url"]
    assert same == picture
    assert client.get(picture, headers=bob).status_code == 200


def test_equal_idempotency_keys_of_two_owners_are_two_jobs(keys, client: TestClient):
    jobs = {
        client.post("/generate", json=WISH, headers=bearer(keys[name]) | {"Idempotency-Key": "1"}).headers[
            "x-anatomend-job"
        ]
        for name in ("ada", "bob", "ada")
    }
    assert len(jobs) == 2


def test_an_admin_ends_the_jobs_of_others(keys, client: TestClient, engine: ScriptedEngine):
    engine.gate = threading.Event()
    later = {"Prefer": "respond-async"}
    first = client.post("/generate", json=WISH, headers=bearer(keys["ada"]) | later)
    waiting = client.post("/generate", json=WISH, headers=bearer(keys["ada"]) | later)
    assert (first.status_code, waiting.status_code) == (202, 202)
    where = waiting.headers["location"]
    assert client.post(f"{where}/cancel", headers=bearer(keys["bob"])).status_code == 404
    assert client.get(where, headers=bearer(keys["ada"])).json()["state"] == "queued"
    ended = client.post(f"{where}/cancel", headers=bearer(keys["root"]))
    assert ended.json()["state"] == "cancelled"
    engine.gate.set()


def test_a_revoked_key_stops_working_within_a_second(settings, keys, client: TestClient):
    assert client.get("/models", headers=bearer(keys["ada"])).status_code == 200
    database = Database.of(settings)
    revoke_key(database, keys["ada_id"])
    revoked_at = time.monotonic()
    while client.get("/models", headers=bearer(keys["ada"])).status_code == 200:
        assert time.monotonic() - revoked_at < 1
        time.sleep(0.02)
    assert_problem(client.get("/models", headers=bearer(keys["ada"])), 401, "invalid_key")
    for name in ("bob_id", "root_id"):
        revoke_key(database, keys[name])
    time.sleep(0.6)
    assert_problem(client.get("/models"), 401, "missing_key")
    database.close()


def test_the_first_key_shuts_a_running_service(settings: Settings, client: TestClient):
    assert client.get("/models").status_code == 200
    database = Database.of(settings)
    _, secret = add_key(database, "first")
    database.close()
    time.sleep(0.6)
    assert_problem(client.get("/models"), 401, "missing_key")
    assert client.get("/models", headers=bearer(secret)).status_code == 200


def test_keys_can_be_demanded_before_there_are_any(serve):
    with serve(require_keys=True) as client:
        assert_problem(client.get("/models"), 401, "missing_key")


def test_no_key_is_logged(keys, client: TestClient, caplog):
    caplog.set_level(logging.DEBUG)
    assert client.post("/generate", json=WISH, headers=bearer(keys["ada"])).status_code == 200
    assert client.get("/models", headers=bearer(keys["ada"] + "x")).status_code == 401
    assert keys["ada"] not in caplog.text


def test_safe_headers(client: TestClient):
    for path in ("/livez", "/nothing", "/docs"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"


PREFLIGHT = {
    "Origin": "https://studio.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def test_other_sites_are_shut_out_by_default(client: TestClient):
    response = client.options("/generate", headers=PREFLIGHT)
    assert "access-control-allow-origin" not in response.headers
    cross_site = {"Origin": "https://studio.example", "Sec-Fetch-Site": "cross-site"}
    assert_problem(client.post("/generate", json=WISH, headers=cross_site), 403, "cross_site")
    assert client.post("/generate", json=WISH, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_site_can_be_let_in(keys, serve):
    with serve(cors_origins="https://studio.example, https://other.example:8443") as client:
        asked = client.options("/generate", headers=PREFLIGHT)
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "https://studio.example"
        origin = {"Origin": "https://studio.example", "Sec-Fetch-Site": "cross-site"}
        refused = client.post("/generate", json=WISH, headers=origin)
        assert_problem(refused, 401, "missing_key")
        assert refused.headers["access-control-allow-origin"] == "https://studio.example"
        done = client.post("/generate", json=WISH, headers=origin | bearer(keys["ada"]))
        assert done.status_code == 200
        assert done.headers["cross-origin-resource-policy"] == "cross-origin"
        stranger = client.options("/generate", headers=PREFLIGHT | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers
