"""Checks that events are as the API document describes them."""

from __future__ import annotations

import pytest

from service.engine.stub import StubEngine
from service.jobs.records import EventType
from service.schemas.events import EVENTS
from tests.service.api.test_jobs import LATER, events_of
from tests.service.scripted import encoded, noise


def described(client) -> list[dict]:
    stream = client.get("/openapi.json").json()["paths"]["/jobs/{job_id}/events"]["get"]
    return stream["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]["oneOf"]


def references(schema: object) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if "$ref" in schema else set()
        return own.union(*(references(value) for value in schema.values()))
    return set().union(*(references(value) for value in schema)) if isinstance(schema, list) else set()


def test_every_event_is_described_and_all_that_it_refers_to(client):
    events = described(client)
    assert [event["properties"]["event"]["const"] for event in events] == [kind.value for kind in EventType]
    known = client.get("/openapi.json").json()["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in references(events)} <= set(known)


@pytest.mark.parametrize("kind", ["generate", "repair"])
def test_what_is_sent_is_what_is_described(serve, kind):
    with serve(load=lambda _: StubEngine(0.03)) as client:
        if kind == "repair":
            job = client.post("/repair", files={"image": encoded(noise((24, 32)))}, headers=LATER).json()
        else:
            wish = {"prompt": "a hand", "seed": 1, "num_inference_steps": 40}
            job = client.post("/generate", json=wish, headers=LATER).json()
        told = [(name, data) for _, name, data in events_of(client.get(f"/jobs/{job['id']}/events"))]
    for name, data in told:
        EVENTS[name].model_validate(data)
        assert set(data) <= set(EVENTS[name].model_fields)
    expected = {"generate": {"preview"}, "repair": {"regions", "attempt"}}[kind]
    assert {name for name, _ in told} >= {"state", "progress", "done"} | expected
