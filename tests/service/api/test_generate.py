from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from service.core.params import Policy, RepairParams
from service.core.report import Outcome, Unused
from service.images.embedded_report import read_report
from service.schemas.answer_builder import MAX_HEADER_BYTES
from tests.service.problems import assert_problem
from tests.service.scripted import MODELS, ScriptedEngine, decoded, noise


def test_answer_has_the_promised_shape(client, engine: ScriptedEngine):
    engine.outcome = Outcome.REPAIRED
    response = client.post("/generate", json={"prompt": "an open hand", "seed": 5, "num_images": 2})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"id", "images", "models", "timings_s"}
    assert body["models"] == MODELS
    assert body["timings_s"] == {"detect": 0.5, "repair": 3.0}
    assert [image["seed"] for image in body["images"]] == [5, 6]
    image = body["images"][0]
    assert set(image) == {
        "url", "sha256", "original_url", "width", "height", "seed", "outcome", "reason", "regions",
        "sampling", "unused",
    }  # fmt: skip
    assert (image["width"], image["height"], image["outcome"]) == (64, 64, "repaired")
    region = image["regions"][0]
    mask_url = region.pop("mask_url")
    assert region == {
        "number": 0,
        "class_name": "malformed_hand",
        "xyxy": [0, 0, 32, 32],
        "conf_before": 0.9,
        "conf_after": 0.1,
        "accepted": True,
        "reason": "accepted",
        "attempts": [
            {
                "method": "redraw",
                "strength": 0.4,
                "seed": 5,
                "conf": 0.1,
                "critic": None,
                "seam": 1.0,
                "foreign_colour": 0.0,
                "verdict": "accepted",
                "guide_before": None,
                "guide_after": None,
            }
        ],
    }
    original = decoded(client.get(image["original_url"]).content)
    final = decoded(client.get(image["url"]).content)
    mask = decoded(client.get(mask_url).content)
    assert np.array_equal(original, noise((64, 64), 5))
    assert np.array_equal((original != final).any(-1), mask > 0)


def test_parameters_reach_the_engine(client, engine: ScriptedEngine):
    repair = {"conf": 0.3, "classes": ["malformed_hand"], "strengths": [0.5], "policy": "every"}
    body = {
        "prompt": "  a horse ",
        "negative_prompt": "blur",
        "seed": 2**53 - 1,
        "width": 128,
        "height": 64,
        "num_inference_steps": 3,
        "guidance_scale": 0,
        "repair": repair,
    }
    assert client.post("/generate", json=body).status_code == 200
    wish = engine.requests[0]
    assert (wish.prompt, wish.negative_prompt, wish.seed) == ("a horse", "blur", 2**53 - 1)
    assert (wish.width, wish.height, wish.num_inference_steps, wish.guidance_scale) == (128, 64, 3, 0)
    assert wish.repair == RepairParams(
        conf=0.3, classes=("malformed_hand",), strengths=(0.5,), policy=Policy.EVERY
    )


@pytest.mark.parametrize(("sent", "meant"), [(True, RepairParams()), (False, None), ({}, RepairParams())])
def test_repair_is_a_switch_or_an_object(client, engine: ScriptedEngine, sent, meant):
    client.post("/generate", json={"prompt": "a hand", "repair": sent})
    assert engine.requests[0].repair == meant


def test_png_on_request_with_the_facts_in_headers(client, engine: ScriptedEngine):
    engine.outcome = Outcome.UNREPAIRED
    response = client.post("/generate", json={"prompt": "x", "seed": 3}, headers={"Accept": "image/png"})
    assert response.headers["content-type"] == "image/png"
    assert np.array_equal(decoded(response.content), noise((64, 64), 3))
    facts = {name: value for name, value in response.headers.items() if name.startswith("x-anatomend-")}
    sha256 = hashlib.sha256(response.content).hexdigest()
    assert facts["x-anatomend-sha256"] == sha256
    assert facts["x-anatomend-url"] == f"/images/{sha256}"
    assert read_report(response.content)["outcome"] == "unrepaired"
    original = client.get(facts["x-anatomend-original-url"]).content
    assert read_report(original) is None
    assert np.array_equal(decoded(original), decoded(response.content))
    assert client.get(f"/jobs/{facts['x-anatomend-id']}").json()["state"] == "succeeded"
    assert (facts["x-anatomend-width"], facts["x-anatomend-height"]) == ("64", "64")
    assert (facts["x-anatomend-seed"], facts["x-anatomend-outcome"]) == ("3", "unrepaired")
    assert json.loads(facts["x-anatomend-regions"])[0]["attempts"][0]["verdict"] == "still_malformed"
    assert json.loads(facts["x-anatomend-models"]) == MODELS
    assert json.loads(facts["x-anatomend-timings-s"])["repair"] == 1.5


def test_a_long_report_leaves_its_attempts_out_of_the_headers(client, engine: ScriptedEngine):
    engine.outcome, engine.attempts = Outcome.UNREPAIRED, 200
    response = client.post("/generate", json={"prompt": "x"}, headers={"Accept": "image/png"})
    regions = response.headers["x-anatomend-regions"]
    assert len(regions) < 4096
    assert json.loads(regions)[0]["attempts"] == 200


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("image/png, application/json;q=0.5", "image/png"),
        ("application/json, image/png;q=0.5", "application/json"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png;q=high", "application/json"),
        ("text/html", "application/json"),
        ("image/webp, image/png", "image/png"),
    ],
)
def test_accept_is_understood(client, accept, media_type):
    response = client.post("/generate", json={"prompt": "x"}, headers={"Accept": accept})
    assert response.headers["content-type"] == media_type


def test_the_same_seed_gives_the_same_bytes(client):
    answers = [client.post("/generate", json={"prompt": "x", "seed": 1}).json() for _ in range(2)]
    assert answers[0]["images"] == answers[1]["images"]
    assert answers[0]["id"] != answers[1]["id"]


BAD = [
    ({}, "missing_parameter"),
    ({"prompt": ""}, "invalid_parameter"),
    ({"prompt": " \n\t "}, "invalid_parameter"),
    ({"prompt": "x" * 2001}, "invalid_parameter"),
    ({"prompt": None}, "invalid_parameter"),
    ({"prompt": 5}, "invalid_parameter"),
    ({"prompt": ["x"]}, "invalid_parameter"),
    ({"prompt": "x", "negative_prompt": "x" * 2001}, "invalid_parameter"),
    ({"prompt": "x", "seed": -1}, "invalid_parameter"),
    ({"prompt": "x", "seed": 2**53}, "invalid_parameter"),
    ({"prompt": "x", "seed": 1.5}, "invalid_parameter"),
    ({"prompt": "x", "width": 63}, "invalid_parameter"),
    ({"prompt": "x", "width": 0}, "invalid_parameter"),
    ({"prompt": "x", "height": 100}, "invalid_parameter"),
    ({"prompt": "x", "height": -8}, "invalid_parameter"),
    ({"prompt": "x", "width": 520}, "size_too_large"),
    ({"prompt": "x", "height": 10**9 * 8}, "size_too_large"),
    ({"prompt": "x", "num_inference_steps": 0}, "invalid_parameter"),
    ({"prompt": "x", "num_inference_steps": 201}, "invalid_parameter"),
    ({"prompt": "x", "guidance_scale": -0.1}, "invalid_parameter"),
    ({"prompt": "x", "guidance_scale": 51}, "invalid_parameter"),
    ({"prompt": "x", "num_images": 0}, "invalid_parameter"),
    ({"prompt": "x", "num_images": 9}, "invalid_parameter"),
    ({"prompt": "x", "repair": "yes"}, "invalid_parameter"),
    ({"prompt": "x", "repair": None}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"conf": 0}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"conf": 1}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"max_regions": 0}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"strengths": []}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"strengths": [0.4, 0]}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"strengths": [1.1]}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"seeds_per_attempt": 17}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"grow": -1}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"feather_px": 65}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"policy": "some"}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"classes": ["wing"]}}, "unknown_class"),
    ({"prompt": "x", "repair": {"classes": [""]}}, "invalid_parameter"),
    ({"prompt": "x", "repair": {"strength": 0.4}}, "unknown_parameter"),
    ({"prompt": "x", "steps": 4}, "unknown_parameter"),
    ({"prompt": "x", "\ud800": 4}, "invalid_parameter"),
    ([], "invalid_parameter"),
    ("x", "invalid_parameter"),
    (None, "invalid_parameter"),
]


@pytest.mark.parametrize(("body", "code"), BAD, ids=[f"{i}-{code}" for i, (_, code) in enumerate(BAD)])
def test_bad_requests_are_problems(client, engine: ScriptedEngine, body, code):
    response = client.post(
        "/generate", content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 422, code)
    assert not engine.requests


@pytest.mark.parametrize(
    ("body", "parameter", "allowed"),
    [
        ({"prompt": ""}, "prompt", {"type": "string", "minLength": 1, "maxLength": 2000}),
        (
            {"prompt": "x", "width": 3},
            "width",
            [{"type": "integer", "minimum": 8, "multipleOf": 8}, {"type": "null"}],
        ),
        (
            {"prompt": "x", "repair": {"strengths": [0.4, 2]}},
            "repair.strengths.1",
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        ),
        (
            {"prompt": "x", "repair": {"policy": "none"}},
            "repair.policy",
            {"type": "string", "enum": ["malformed", "every"]},
        ),
    ],
)
def test_the_refusal_names_the_parameter_and_its_limits(client, body, parameter, allowed):
    problem = client.post("/generate", json=body).json()
    assert problem["errors"][0]["parameter"] == parameter
    assert problem["allowed"] == allowed
    assert problem["detail"].startswith(f"{parameter}: ")


def test_an_unknown_parameter_is_told_the_known_ones(client):
    problem = client.post("/generate", json={"prompt": "x", "repair": {"steps": 4}}).json()
    assert problem["errors"][0]["parameter"] == "repair.steps"
    assert "max_regions" in problem["allowed"]
    problem = client.post("/generate", json={"prompt": "x", "step": 4}).json()
    assert problem["errors"][0]["parameter"] == "step"
    assert "num_inference_steps" in problem["allowed"]


def test_not_a_number_is_no_number(client):
    response = client.post(
        "/generate",
        content=b'{"prompt": "x", "guidance_scale": NaN}',
        headers={"Content-Type": "application/json"},
    )
    assert_problem(response, 422, "invalid_parameter")


def test_broken_json(client):
    response = client.post("/generate", content=b'{"prompt": ', headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "invalid_json")


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"prompt": "\xff"}', b""])
def test_bytes_that_are_no_text(client, content):
    response = client.post("/generate", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


def test_another_media_type(client):
    assert_problem(client.post("/generate", data={"prompt": "x"}), 415, "unsupported_media_type")
    assert_problem(client.post("/generate"), 415, "unsupported_media_type")


def test_a_body_that_is_far_too_long(client):
    body = b'{"prompt": "' + b"x" * (1 << 20) + b'"}'
    response = client.post("/generate", content=body, headers={"Content-Type": "application/json"})
    problem = assert_problem(response, 413, "too_many_bytes")
    assert problem["allowed"] == {"max_bytes": 1 << 20}


def test_what_had_no_effect_is_told_as_json_and_as_a_header(client, engine: ScriptedEngine):
    engine.unused = (Unused("prompt", "cut after 77 tokens", "… fingers"), Unused("nudge", "no method is it"))
    engine.outcome, engine.reason = Outcome.NOTHING_ASKED, "left as they were: 1 by skip"
    image = client.post("/generate", json={"prompt": "x"}).json()["images"][0]
    told = [
        {"name": "prompt", "reason": "cut after 77 tokens", "where": "… fingers"},
        {"name": "nudge", "reason": "no method is it", "where": ""},
    ]
    assert (image["unused"], image["outcome"], image["reason"]) == (told, "nothing_asked", engine.reason)
    response = client.post("/generate", json={"prompt": "x"}, headers={"Accept": "image/png"})
    del told[1]["where"]
    assert json.loads(response.headers["x-anatomend-unused"]) == told
    assert response.headers["x-anatomend-reason"] == engine.reason
    report = read_report(response.content)
    assert report is not None
    assert [one["name"] for one in report["unused"]] == ["prompt", "nudge"]
    engine.unused = (Unused("prompt", "x" * 3000),) * 3
    response = client.post("/generate", json={"prompt": "x"}, headers={"Accept": "image/png"})
    assert len(response.headers["x-anatomend-unused"]) <= MAX_HEADER_BYTES


def test_a_running_seed_beyond_the_range_is_refused(client, engine: ScriptedEngine):
    body = {"prompt": "x", "seed": 2**53 - 1, "num_images": 2}
    problem = assert_problem(client.post("/generate", json=body), 422, "seed_out_of_range")
    assert problem["allowed"] == [0, 2**53 - 2]
    assert not engine.requests
