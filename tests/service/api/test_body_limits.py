"""Tests what a body may be, how it is read, and what is kept of it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from fastapi import UploadFile
from fastapi.testclient import TestClient

from service.api.context import Context
from service.api.middleware.body_limits import MAX_PLAIN_BYTES, BodyLimits
from service.api.problems import BodyTooLarge, BodyTooSlow
from service.runtime.settings import Settings
from service.schemas.json_text import MAX_DEPTH, MAX_VALUES
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine, encoded, noise

JSON = {"Content-Type": "application/json"}
PICTURE = encoded(noise((16, 16)))


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("path", ["/generate", "/sdapi/v1/txt2img", "/v1/images/generations"])
@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (nested(MAX_DEPTH), "nested_too_deep"),
        (nested(900), "nested_too_deep"),
        (nested(9000), "nested_too_deep"),
        ("[" + "0," * MAX_VALUES + "0]", "too_many_values"),
    ],
)
def test_what_no_request_looks_like_is_refused_at_the_door(
    client: TestClient, engine: ScriptedEngine, path: str, extra: str, code: str
):
    body = f'{{"prompt": "x", "extra": {extra}}}'
    response = client.post(path, content=body, headers=JSON)
    if path.startswith("/v1"):
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    else:
        assert_problem(response, 422, code)
    assert not engine.requests
    assert client.get("/jobs").json()["jobs"] == []


def test_a_number_of_five_thousand_digits(client: TestClient):
    for path in ("/generate", "/sdapi/v1/txt2img"):
        response = client.post(path, content='{"prompt": "x", "seed": ' + "9" * 5000 + "}", headers=JSON)
        assert_problem(response, 400, "invalid_json")


def test_params_of_a_form_are_read_as_carefully(client: TestClient):
    for params, code in ((nested(900), "nested_too_deep"), ('{"seed": 1, "seed": 2}', "repeated_parameter")):
        response = client.post("/repair", files={"image": PICTURE}, data={"params": params})
        assert_problem(response, 422, code)


def test_of_two_equal_names_none_wins(client: TestClient):
    twice = client.post("/generate", content='{"prompt": "x", "seed": 1, "seed": 2}', headers=JSON)
    problem = assert_problem(twice, 422, "repeated_parameter")
    assert problem["errors"][0]["parameter"] == "seed"
    both = [("image", ("a.png", PICTURE)), ("image", ("b.png", PICTURE))]
    for path in ("/repair", "/detect"):
        problem = assert_problem(client.post(path, files=both), 422, "repeated_parameter")
        assert problem["errors"][0]["parameter"] == "image"
    theirs = client.post("/v1/images/edits", files=both).json()["error"]
    assert (theirs["code"], theirs["param"]) == ("repeated_parameter", "image")
    fields = [("image", ("a.png", PICTURE)), ("params", (None, "{}")), ("params", (None, "{}"))]
    assert_problem(client.post("/repair", files=fields), 422, "repeated_parameter")


@pytest.mark.parametrize(
    ("path", "pictures"),
    [
        ("/generate", 0),
        ("/jobs/0/cancel", 0),
        ("/nothing", 0),
        ("/sdapi/v1/options", 0),
        ("/sdapi/v1/txt2img", 1),
        ("/sdapi/v1/img2img", 2),
        ("/repair", 2),
        ("/detect", 1),
        ("/v1/images/edits", 2),
    ],
)
def test_a_body_may_be_as_large_as_its_address_needs(path: str, pictures: int):
    assert BodyLimits(1000).max_bytes(path) == pictures * 1000 + MAX_PLAIN_BYTES


def test_json_is_read_beside_the_loop(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    def read(content: bytes) -> object:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return json.loads(content)

    monkeypatch.setattr("service.api.json_request.read_json", read)
    assert client.post("/generate", json={"prompt": "x", "seed": 1}).status_code == 200


async def dripping(limits: BodyLimits, bites: int, size: int, pause_s: float, path: str = "/repair") -> int:
    """The size of a body that comes in bites with a pause before each, as a route reads it."""

    async def receive() -> dict[str, object]:
        nonlocal bites
        await anyio.sleep(pause_s)
        bites -= 1
        return {"type": "http.request", "body": b"x" * size, "more_body": bites > 0}

    taken = limits.applied({"type": "http", "path": path, "headers": []}, receive)
    total = 0
    while True:
        message = await taken()
        total += len(message["body"])
        if not message["more_body"]:
            break
    return total


def test_a_body_that_drips_is_given_up_and_a_slow_one_is_not():
    limits = BodyLimits(10_000, patience_s=0.05, least_bytes_per_s=1000)
    with pytest.raises(BodyTooSlow) as caught:
        asyncio.run(dripping(limits, bites=1000, size=1, pause_s=0.02))
    assert (caught.value.status_code, bool(caught.value.allowed)) == (408, True)
    assert asyncio.run(dripping(limits, bites=10, size=100, pause_s=0.02)) == 1000
    with pytest.raises(BodyTooLarge):
        asyncio.run(dripping(limits, bites=2000, size=1000, pause_s=0, path="/jobs"))


def test_what_we_do_ourselves_is_not_taken_for_the_senders_silence():
    times = iter([0.0, 0.0, 100.0, 100.0])

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"x", "more_body": True}

    limits = BodyLimits(10, patience_s=1, now=lambda: next(times))

    async def read_twice() -> None:
        taken = limits.applied({"type": "http", "path": "/", "headers": []}, receive)
        await taken()
        await taken()

    asyncio.run(read_twice())


def test_uploads_wait_for_a_slot_before_their_bytes_are_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
):
    """While none is free none is read; and none is held while a job is waited for."""
    slots = client.app.state.context.upload_slots
    read: list[str] = []

    async def uploaded(_: Context, file: UploadFile) -> bytes:
        read.append("form")
        return await file.read()

    monkeypatch.setattr(Context, "uploaded", uploaded)
    monkeypatch.setattr("service.api.sdapi.routes.picture_in", lambda *_: read.append("json") or PICTURE)
    calls = (
        ("/repair", {"files": {"image": PICTURE}}),
        ("/detect", {"files": {"image": PICTURE}}),
        ("/v1/images/edits", {"files": {"image": PICTURE}}),
        ("/sdapi/v1/img2img", {"json": {"init_images": ["x"]}}),
    )
    with ThreadPoolExecutor(1) as pool:
        for path, sent in calls:
            read.clear()
            client.portal.call(slots.acquire)
            client.portal.call(slots.acquire)
            answer = pool.submit(client.post, path, **sent)
            time.sleep(0.1)
            assert not read, path
            client.portal.call(slots.release)
            assert answer.result(20).status_code == 200, path
            client.portal.call(slots.release)
            assert len(read) == 1
            assert slots.value == 2


def test_a_large_body_of_json_waits_too_and_is_let_go(client: TestClient, engine: ScriptedEngine):
    engine.gate = threading.Event()
    slots = client.app.state.context.upload_slots
    script = {"controlnet": {"args": [{"image": "A" * 1_500_000}]}}
    wish = {"prompt": "x", "seed": 1, "alwayson_scripts": script}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/sdapi/v1/txt2img", json=wish)
        assert engine.entered.wait(20)
        assert slots.value == 2
        engine.gate.set()
        told = answer.result(20).json()
    assert told["parameters"]["anatomend_unused"] == ["alwayson_scripts.controlnet"]
    assert told["parameters"]["alwayson_scripts"] == {
        "controlnet": {"args": [{"image": "(1500000 characters)"}]}
    }


def test_a_damaged_picture_is_told_and_mended_by_the_same_upload(client: TestClient, settings: Settings):
    sent = {"files": {"image": PICTURE}, "headers": {"Accept": "image/png"}}
    url = client.post("/repair", files={"image": PICTURE}).json()["images"][0]["url"]
    whole = client.get(url).content
    (path,) = (settings.data_dir / "images").rglob(f"{url.rpartition('/')[2]}.png")
    path.write_bytes(whole[:100])
    assert_problem(client.get(url), 500, "storage_damaged")
    assert client.post("/repair", **sent).content == whole
    assert client.get(url).content == whole
