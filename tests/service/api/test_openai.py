"""OpenAI's own client against a real service."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest

from service.core.report import Outcome, Unused
from service.engine.stub import StubEngine
from service.runtime.settings import Settings
from tests.service.live import live
from tests.service.scripted import MODELS, ScriptedEngine, decoded, encoded, noise

PIXELS = noise((40, 48), 1)
PNG = encoded(PIXELS)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def slow_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """Of a service whose pictures take long enough to be watched."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("stub"))
    with live(settings, StubEngine(0.3)) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        yield client


def pixels(b64_json: str | None) -> np.ndarray:
    assert b64_json
    return decoded(base64.b64decode(b64_json))


def test_two_pictures_as_base64(client: openai.OpenAI, scripted: ScriptedEngine):
    answer = client.images.generate(
        prompt="a hand", n=2, size="72x64", extra_body={"seed": 3, "negative_prompt": "six fingers"}
    )
    assert answer.data
    assert [pixels(image.b64_json).shape for image in answer.data] == [(64, 72, 3)] * 2
    assert np.array_equal(pixels(answer.data[1].b64_json), noise((64, 72), 4))
    assert (answer.size, answer.output_format, answer.background) == ("72x64", "png", "opaque")
    assert answer.usage
    assert answer.usage.total_tokens == 0
    assert answer.created > 1_700_000_000
    wish = scripted.requests[0]
    assert (wish.prompt, wish.negative_prompt, wish.num_images) == ("a hand", "six fingers", 2)


def test_a_picture_by_address(client: openai.OpenAI, scripted: ScriptedEngine):
    answer = client.images.generate(prompt="x", size="auto", response_format="url", extra_body={"seed": 5})
    assert answer.data
    assert answer.data[0].url
    assert answer.data[0].b64_json is None
    assert np.array_equal(decoded(httpx2.get(answer.data[0].url).content), noise((64, 64), 5))


def test_the_names_of_their_models_mean_the_loaded_one(client: openai.OpenAI, scripted: ScriptedEngine):
    assert [model.id for model in client.models.list()] == ["anatomend", MODELS["generator"]]
    assert client.models.retrieve(MODELS["generator"]).object == "model"
    for name in ("anatomend", MODELS["generator"], "gpt-image-1", "gpt-image-2"):
        answer = client.images.generate(prompt="x", model=name)
        assert answer.data
        assert answer.data[0].b64_json
    old = client.images.generate(prompt="x", model="dall-e-3", style="vivid", quality="hd")
    assert old.data
    assert old.data[0].url, "as that model always did"
    assert scripted.requests[-1].repair.seeds_per_attempt == 8


@pytest.mark.parametrize(
    ("kind", "magic"), [("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF"), ("png", b"\x89PNG")]
)
def test_other_formats(client: openai.OpenAI, scripted: ScriptedEngine, kind, magic):
    answer = client.images.generate(prompt="x", output_format=kind, output_compression=60)
    assert answer.data
    content = base64.b64decode(answer.data[0].b64_json or "")
    assert content.startswith(magic)
    assert decoded(content).shape == (64, 64, 3)
    assert answer.output_format == kind


def test_what_has_no_effect_is_told(client: openai.OpenAI, scripted: ScriptedEngine):
    answer = client.images.with_raw_response.generate(prompt="x", user="u", style="natural", moderation="low")
    assert answer.headers["x-anatomend-ignored"] == "style, user, moderation"
    told = json.loads(answer.headers["x-anatomend-unused"])
    assert [one["name"] for one in told] == ["style", "user", "moderation"]
    assert all(one["reason"] for one in told)


def test_what_the_engine_did_not_use_is_told(client: openai.OpenAI, scripted: ScriptedEngine):
    scripted.unused = (Unused("prompt", "cut after 77 tokens", "… fingers"),)
    options = {
        "output_compression": 50,
        "partial_images": 1,
        "quality": "high",
        "extra_body": {"repair": False},
    }
    answer = client.images.with_raw_response.generate(prompt="x", **options)
    told = json.loads(answer.headers["x-anatomend-unused"])
    assert [one["name"] for one in told] == ["partial_images", "output_compression", "quality", "prompt"]
    events = list(client.images.generate(prompt="x", stream=True))
    assert [one["name"] for one in events[-1].anatomend_unused] == ["prompt"]
    scripted.unused = ()
    assert "x-anatomend-unused" not in client.images.with_raw_response.generate(prompt="x").headers


def test_null_means_left_out(url: str, scripted: ScriptedEngine):
    names = ("negative_prompt", "seed", "n", "size", "repair", "stream")
    answer = httpx2.post(f"{url}/v1/images/generations", json={"prompt": "x", **dict.fromkeys(names)})
    assert answer.status_code == 200, answer.text
    assert scripted.requests[0].negative_prompt == ""
    assert scripted.requests[0].repair is not None


def test_an_edit_redraws_where_their_mask_is_transparent(client: openai.OpenAI, scripted: ScriptedEngine):
    scripted.outcome = Outcome.REPAIRED
    mask = np.full((40, 48, 4), 255, np.uint8)
    mask[:20, :24, 3] = 0
    mask[30:, :, 3] = 128  # not fully: stays
    answer = client.images.edit(
        image=("in.png", PNG), mask=("mask.png", encoded(mask)), prompt="a hand", size="48x40"
    )
    assert answer.data
    changed = pixels(answer.data[0].b64_json)
    assert not np.array_equal(changed[:20, :24], PIXELS[:20, :24])
    assert np.array_equal(changed[20:], PIXELS[20:])
    seen = scripted.requests[0].mask
    assert (seen[:20, :24] == 1).all()
    assert seen.sum() == 20 * 24


def test_an_edit_without_a_mask_repairs_what_is_malformed(
    client: openai.OpenAI, scripted: ScriptedEngine, tmp_path: Path
):
    (tmp_path / "in.png").write_bytes(PNG)
    with (tmp_path / "in.png").open("rb") as file:
        answer = client.images.edit(image=[file], prompt="")
    assert answer.data
    assert base64.b64decode(answer.data[0].b64_json or "") == PNG
    assert scripted.requests[0].mask is None


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x", "n": 11}, "n"),
        ({"prompt": "x", "size": "big"}, "size"),
        ({"prompt": "x", "size": "1000x2000"}, "size"),
        ({"prompt": "x", "size": "64x60"}, "size"),
        ({"prompt": "x", "background": "transparent"}, "background"),
        ({"prompt": "x", "output_format": "gif"}, "output_format"),
        ({"prompt": "x", "output_format": "webp", "response_format": "url"}, "output_format"),
        ({"prompt": "x", "partial_images": 4, "stream": True}, "partial_images"),
        ({"prompt": "x", "extra_body": {"seed": -1}}, "seed"),
        ({"prompt": "x", "extra_body": {"guidance_scale": 99}}, "guidance_scale"),
        ({"prompt": "x", "extra_body": {"svg": {}}}, "svg"),
    ],
)
def test_mistakes_are_their_bad_requests(client: openai.OpenAI, scripted: ScriptedEngine, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**options)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.code
    assert caught.value.body["message"]
    assert not scripted.requests


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"image": ("a.png", b"text")}, "image"),
        ({"image": [("a.png", PNG), ("b.png", PNG)]}, "image"),
        ({"image": ("a.png", PNG), "mask": ("m.png", PNG)}, "mask"),
        ({"image": ("a.png", PNG), "mask": ("m.png", b"text")}, "mask"),
        ({"image": ("a.png", PNG), "mask": ("m.png", encoded(noise((8, 8), 1, 4)))}, "mask"),
        ({"image": ("a.png", PNG), "mask": ("m.png", encoded(noise((40, 48), 1, 4) | 1))}, "mask"),
        ({"image": ("a.png", PNG), "n": 2}, "n"),
        ({"image": ("a.png", PNG), "size": "1024x1024"}, "size"),
    ],
)
def test_mistakes_in_an_edit(client: openai.OpenAI, scripted: ScriptedEngine, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(prompt="x", **options)
    assert caught.value.param == param
    assert not scripted.requests


def test_other_errors_are_theirs_too(client: openai.OpenAI, scripted: ScriptedEngine):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.images.generate(prompt="x", model="midjourney")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="x", messages=[])
    scripted.failures = [ValueError("secret")]
    with pytest.raises(openai.InternalServerError) as inside:
        client.images.generate(prompt="x")
    assert (inside.value.type, inside.value.code) == ("server_error", "internal_error")
    assert "secret" not in str(inside.value)


def test_partial_pictures_are_streamed(slow_client: openai.OpenAI):
    events = list(slow_client.images.generate(prompt="x", stream=True, partial_images=2, size="64x72"))
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert {pixels(event.b64_json).shape for event in events} == {(72, 64, 3)}
    assert (events[-1].size, events[-1].usage.total_tokens, events[-1].quality) == ("64x72", 0, "auto")


def test_an_edit_is_streamed(slow_client: openai.OpenAI):
    events = list(
        slow_client.images.edit(prompt="x", image=("in.png", PNG), stream=True, output_format="jpeg")
    )
    assert [event.type for event in events] == ["image_edit.completed"]
    assert events[0].output_format == "jpeg"
    assert pixels(events[0].b64_json).shape == (40, 48, 3)


def test_a_stream_ends_with_the_error(client: openai.OpenAI, scripted: ScriptedEngine):
    scripted.failures = [ValueError("secret")]
    with pytest.raises(openai.APIError, match="the log tells why"):
        list(client.images.generate(prompt="x", stream=True))


def test_a_stream_that_is_left_ends_its_job(slow_client: openai.OpenAI):
    with slow_client.images.generate(prompt="left", stream=True, partial_images=1) as stream:
        next(iter(stream))
    base = str(slow_client.base_url).removesuffix("/v1/")
    states = {"running"}
    while states & {"running", "queued"}:
        jobs = httpx2.get(f"{base}/jobs").json()["jobs"]
        states = {job["state"] for job in jobs if job["request"].get("prompt") == "left"}
    assert states == {"cancelled"}
