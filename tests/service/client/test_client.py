"""The client against a real service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from service.client import Anatomend
from service.core.errors import (
    Cancelled,
    InvalidImage,
    InvalidRequest,
    ModelUnavailable,
    NotFound,
    Unreachable,
)
from service.core.job_state import JobKind, JobState
from service.core.report import Outcome
from service.jobs.records import EventType, JobEvent
from tests.service.scripted import MODELS, ScriptedEngine, decoded, encoded, noise

PIXELS = noise((40, 48), 1)
PNG = encoded(PIXELS)


@pytest.fixture
def service(url: str) -> Iterator[Anatomend]:
    with Anatomend(url, timeout_s=30) as client:
        yield client


def test_generate_with_events_and_pictures(service: Anatomend, scripted: ScriptedEngine, tmp_path: Path):
    told: list[JobEvent] = []
    result = service.generate("a hand", seed=3, num_images=2, num_inference_steps=4, on_event=told.append)
    assert [image.seed for image in result.answer.images] == [3, 4]
    assert result.answer.models == MODELS
    assert np.array_equal(decoded(result.png(1)), noise((64, 64), 4))
    result.save(tmp_path / "first.png")
    assert (tmp_path / "first.png").read_bytes() == result.png()
    assert scripted.requests[0].num_inference_steps == 4
    assert told[-1].type is EventType.DONE
    assert EventType.PROGRESS in {event.type for event in told}
    assert service.image(result.answer.images[0].sha256) == result.png()


def test_repair_of_bytes_and_of_a_file_with_a_mask(
    service: Anatomend, scripted: ScriptedEngine, tmp_path: Path
):
    assert service.repair(PNG).png() == PNG
    scripted.outcome = Outcome.REPAIRED
    (tmp_path / "in.png").write_bytes(PNG)
    result = service.repair(
        tmp_path / "in.png", mask=encoded(PIXELS[..., 0]), prompt="a hand", strengths=[0.5], seed=9
    )
    assert result.answer.images[0].outcome is Outcome.REPAIRED
    assert result.original_png() == PNG
    assert result.png() != PNG
    wish = scripted.requests[1]
    assert (wish.prompt, wish.seed, wish.params.strengths) == ("a hand", 9, (0.5,))
    assert wish.mask.shape == (40, 48)


def test_detect_and_models(service: Anatomend, scripted: ScriptedEngine):
    seen = service.detect(PNG, conf=0.6)
    assert (seen.width, seen.height) == (48, 40)
    assert [row.class_name for row in seen.detections] == ["malformed_hand"]
    assert seen.heatmap_url is None
    heat = service.detect(PNG, heatmap=True).heatmap_url
    assert np.array_equal(decoded(service.image(heat.rpartition("/")[2])), decoded(PNG) ^ 255)
    assert {card["role"]: card["id"] for card in service.models().models} == MODELS


def test_jobs_are_listed_looked_at_and_replayed(service: Anatomend, scripted: ScriptedEngine):
    job_id = service.generate("one").answer.id
    newest = next(service.jobs())
    assert (newest.id, newest.kind, newest.state) == (job_id, JobKind.GENERATE, JobState.SUCCEEDED)
    assert service.job(job_id).request["prompt"] == "one"
    events = list(service.events(job_id))
    assert events[-1].type is EventType.DONE
    later = list(service.events(job_id, after=events[0].id))
    assert [event.id for event in later] == [event.id for event in events if event.id > events[0].id]
    assert service.cancel(job_id).state is JobState.SUCCEEDED


def test_all_pages_are_listed(service: Anatomend, scripted: ScriptedEngine, monkeypatch):
    made = [service.generate(f"number {i}").answer.id for i in range(3)]
    monkeypatch.setattr("service.client.client._PAGE", 2)
    assert [job.id for job in service.jobs()][:3] == made[::-1]


@pytest.mark.parametrize(
    ("call", "kind", "code"),
    [
        (lambda service: service.generate(" "), InvalidRequest, "invalid_parameter"),
        (lambda service: service.generate("x", num_images=9), InvalidRequest, "invalid_parameter"),
        (lambda service: service.repair(b"text"), InvalidImage, "not_an_image"),
        (lambda service: service.repair(PNG, classes=["ear"]), InvalidRequest, "unknown_class"),
        (lambda service: service.repair(PNG, mask=encoded(PIXELS[:8])), InvalidRequest, "mask_size_mismatch"),
        (lambda service: service.job("none"), NotFound, "unknown_job"),
        (lambda service: service.image("0" * 64), NotFound, "unknown_image"),
        (lambda service: list(service.events("none")), NotFound, "unknown_job"),
    ],
)
def test_refusals_are_the_projects_own(service: Anatomend, scripted: ScriptedEngine, call, kind, code):
    with pytest.raises(kind) as caught:
        call(service)
    assert caught.value.code == code
    assert caught.value.detail
    assert not scripted.requests


def test_what_a_job_failed_with_is_raised(service: Anatomend, scripted: ScriptedEngine):
    scripted.failures = [ModelUnavailable("gone", allowed="another")]
    with pytest.raises(ModelUnavailable, match="gone") as caught:
        service.generate("x")
    assert caught.value.allowed == "another"
    scripted.failures = [ValueError("secret")]
    with pytest.raises(Exception, match="the log tells why") as inside:
        service.generate("x")
    assert inside.value.code == "internal_error"


def test_a_job_that_others_cancel_ends_the_call(service: Anatomend, scripted: ScriptedEngine, url: str):
    scripted.gate = threading.Event()

    def cancel() -> None:
        with Anatomend(url) as other:
            assert scripted.entered.wait(20)
            other.cancel(next(other.jobs()).id)
        scripted.gate.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        service.generate("x")
    thread.join()


def test_a_call_that_takes_too_long_takes_its_job_along(scripted: ScriptedEngine, url: str):
    scripted.gate = threading.Event()
    with Anatomend(url, timeout_s=0.8) as client, pytest.raises(Unreachable) as caught:
        client.generate("x")
    assert caught.value.code == "timed_out"
    scripted.gate.set()
    with Anatomend(url) as client:
        job_id = next(client.jobs()).id
        list(client.events(job_id))
        assert client.job(job_id).state is JobState.CANCELLED


def test_what_the_listener_raises_ends_the_job(service: Anatomend, scripted: ScriptedEngine):
    def interrupt(_: JobEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.generate("x", on_event=interrupt)


def test_nobody_at_that_address():
    with (
        Anatomend("http://127.0.0.1:9", timeout_s=30) as client,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        client.models()
