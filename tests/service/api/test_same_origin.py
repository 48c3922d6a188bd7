"""Tests what a browser can be tricked into: pages that rebind their name to it, pages that post."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from bench.serving import until
from service.database.connect import Database
from service.keys.records import add_key
from service.runtime.settings import Settings
from tests.service.problems import assert_problem

WISH = {"prompt": "x", "seed": 1}


@pytest.fixture
def own(serve):
    """A service that no other names were given to, as it is when it was just installed."""
    with serve(allowed_hosts="") as client:
        yield client


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]", "127.0.0.2"]
)
def test_this_machines_own_names_are_known(own: TestClient, host: str):
    assert own.get("/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"],
)
def test_another_name_is_refused_for_all_that_is_somebodys(own: TestClient, host: str):
    headers = {"Host": host}
    for path in ("/jobs", "/models", "/metrics", "/", "/openapi.json", "/v1/models"):
        assert own.get(path, headers=headers).status_code == 403, path
    problem = assert_problem(own.get("/jobs", headers=headers), 403, "unknown_host")
    assert "localhost" in problem["allowed"]
    assert_problem(own.post("/generate", json=WISH, headers=headers), 403, "unknown_host")
    assert own.get("/livez", headers=headers).status_code == 200, "a load balancer asks by an address"


def test_two_names_at_once_are_none(own: TestClient):
    sent = [("Host", "localhost"), ("Host", "evil.example")]
    assert_problem(own.get("/jobs", headers=sent), 403, "unknown_host")


def test_names_can_be_given(serve):
    with serve(allowed_hosts="Studio.example, 192.0.2.7") as client:
        for host in ("studio.example:8000", "192.0.2.7", "localhost"):
            assert client.get("/jobs", headers={"Host": host}).status_code == 200
        assert client.get("/jobs", headers={"Host": "testserver"}).status_code == 403
    with serve(allowed_hosts="*") as client:
        assert client.get("/jobs", headers={"Host": "any.example"}).status_code == 200


def test_with_a_key_the_name_matters_only_if_names_were_given(settings: Settings, serve):
    database = Database.of(settings)
    database.migrate()
    _, secret = add_key(database, "ada")
    database.close()
    headers = {"Authorization": f"Bearer {secret}", "Host": "any.example"}
    with serve(allowed_hosts="") as client:
        assert client.get("/jobs", headers=headers).status_code == 200
    with serve(allowed_hosts="studio.example") as client:
        assert_problem(client.get("/jobs", headers=headers), 403, "unknown_host")


@pytest.mark.parametrize(
    "headers",
    [
        {
            "Origin": "http://localhost:9000"
        },  # another port of this machine; plain HTTP says no more than that
        {"Origin": "http://localhost:9000", "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example:8000"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Origin": "http://[::1"},
        {"Origin": "http://localhost:x"},
    ],
)
def test_pages_of_other_sites_change_nothing(own: TestClient, headers: dict[str, str]):
    for path in ("/generate", "/jobs/0/cancel", "/sdapi/v1/interrupt"):
        response = own.post(path, json=WISH, headers={"Host": "localhost:8000"} | headers)
        assert_problem(response, 403, "cross_site")
    assert own.get("/jobs", headers={"Host": "localhost:8000"} | headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),  # a proxy ended the TLS
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_services_own_page_may_ask(own: TestClient, host: str, origin: str):
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert own.post("/generate", json=WISH, headers=headers).status_code == 200


def test_a_password_that_a_browser_keeps_opens_nothing_to_other_pages(settings: Settings, serve):
    database = Database.of(settings)
    database.migrate()
    _, secret = add_key(database, "ada")
    database.close()
    with serve() as client:
        sent = {"auth": ("any", secret), "json": WISH}
        assert client.post("/generate", **sent).status_code == 200
        foreign = client.post("/generate", headers={"Origin": "http://evil.example"}, **sent)
        assert_problem(foreign, 403, "cross_site")


def test_addresses_of_ours_do_not_repeat_the_name_that_was_asked(serve):
    with serve(allowed_hosts="*") as client:
        moved = client.get("/jobs/?limit=1", headers={"Host": "evil.example"}, follow_redirects=False)
        assert (moved.status_code, moved.headers["location"]) == (307, "/jobs?limit=1")
        later = client.post(
            "/generate", json=WISH, headers={"Host": "evil.example", "Prefer": "respond-async"}
        )
        assert later.headers["location"].startswith("/jobs/")


def test_a_password_that_is_no_text(own: TestClient, settings: Settings):
    database = Database.of(settings)
    add_key(database, "ada")
    database.close()
    for value in (b"Basic \xe9", b"Basic /w==", b"Basic \xb2\xb2\xb2\xb2"):
        with_key = {"Authorization": value, "Host": b"localhost"}
        assert until(lambda sent=with_key: own.get("/models", headers=sent).status_code != 200)
        assert_problem(own.get("/models", headers=with_key), 401, "missing_key")
