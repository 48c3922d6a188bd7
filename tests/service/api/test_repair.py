from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from service.core.params import (
    MaskSource,
    Method,
    NudgeParams,
    NumberedRegionSettings,
    Order,
    RegionSettings,
    RepairParams,
)
from service.core.report import Outcome
from service.images.encode import encode_image
from service.images.png_chunks import read_chunks
from tests.service.api.hostile import png_of, png_with
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine, decoded, encoded, noise

PIXELS = noise((40, 48), 1)
PNG = {"Accept": "image/png"}


def post(
    client, content: bytes = encoded(PIXELS), params: object = None, headers=None, path="/repair", **parts
):
    data = {name: value for name, value in parts.items() if not isinstance(value, bytes)}
    if params is not None:
        data["params"] = params if isinstance(params, str) else json.dumps(params)
    files = {"image": ("any name/../at all.txt", content, "text/plain")}
    files |= {name: (name, value) for name, value in parts.items() if isinstance(value, bytes)}
    return client.post(path, files=files, data=data, headers=headers)


def test_nothing_found_gives_the_uploaded_png_back_byte_for_byte(client):
    content = encoded(PIXELS, compress_level=1)
    assert post(client, content, headers=PNG).content == content
    answer = post(client, content).json()["images"][0]
    assert answer["outcome"] == "clean"
    assert client.get(answer["url"]).content == content
    assert answer["url"] == answer["original_url"]


@pytest.mark.parametrize("outcome", [Outcome.CLEAN, Outcome.UNREPAIRED])
def test_nothing_accepted_gives_the_same_pixels(client, engine: ScriptedEngine, outcome):
    engine.outcome = outcome
    response = post(client, encoded(PIXELS, "WEBP", lossless=True), headers=PNG)
    assert np.array_equal(decoded(response.content), PIXELS)


def test_an_upload_that_stays_as_it_was_is_encoded_once(client, monkeypatch: pytest.MonkeyPatch):
    """16 megapixels take a second or two each time."""
    encoded_sizes = []

    def counted(image, alpha=None):
        encoded_sizes.append(image.shape)
        return encode_image(image, alpha)

    monkeypatch.setattr("service.schemas.answer_builder.encode_image", counted)
    answer = post(client, encoded(PIXELS, "WEBP", lossless=True)).json()["images"][0]
    assert answer["outcome"] == "clean"
    assert answer["url"] == answer["original_url"]
    assert encoded_sizes == [PIXELS.shape]


def test_nothing_outside_the_mask_changes(client, engine: ScriptedEngine):
    engine.outcome = Outcome.REPAIRED
    answer = post(client).json()["images"][0]
    final, mask = (
        decoded(client.get(url).content) for url in (answer["url"], answer["regions"][0]["mask_url"])
    )
    assert (final != PIXELS).any()
    assert np.array_equal(final[mask == 0], PIXELS[mask == 0])


def test_a_turned_picture_comes_back_upright(client):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    response = post(client, encoded(PIXELS, exif=exif), headers=PNG)
    assert np.array_equal(decoded(response.content), np.rot90(PIXELS, -1))


def test_alpha_and_hidden_colours_stay(client, engine: ScriptedEngine):
    engine.outcome = Outcome.REPAIRED
    pixels = noise((16, 16), 2, channels=4)
    pixels[:4, :, 3] = 0
    final = decoded(post(client, encoded(pixels), headers=PNG).content)
    assert np.array_equal(final[..., 3], pixels[..., 3])
    hidden = pixels[..., 3] == 0
    assert np.array_equal(final[hidden], pixels[hidden])
    assert (final[~hidden] != pixels[~hidden]).any()


def test_parameters_reach_the_engine(client, engine: ScriptedEngine):
    mask = noise((40, 48), 3, channels=1)[..., 0]
    params = {"prompt": "a hand", "negative_prompt": "n", "seed": 4, "max_regions": 2}
    assert post(client, params=params, mask=encoded(mask), dry_run="true").status_code == 200
    wish = engine.requests[0]
    assert np.array_equal(wish.image, PIXELS)
    assert np.array_equal(np.rint(wish.mask * 255), mask)
    assert (wish.prompt, wish.negative_prompt, wish.seed, wish.dry_run) == ("a hand", "n", 4, True)
    assert wish.params == RepairParams(max_regions=2)


def test_defaults(client, engine: ScriptedEngine):
    post(client)
    wish = engine.requests[0]
    assert (wish.prompt, wish.mask, wish.dry_run) == ("", None, False)
    assert wish.seed is not None, "chosen before the job is written down"
    assert wish.params == RepairParams()


@pytest.mark.parametrize(
    ("params", "status", "code", "parameter"),
    [
        ("{", 400, "invalid_json", "params"),
        ("[]", 422, "invalid_parameter", "params"),
        ("null", 422, "invalid_parameter", "params"),
        ({"steps": 3}, 422, "unknown_parameter", "params.steps"),
        ({"prompt": "x" * 2001}, 422, "invalid_parameter", "params.prompt"),
        ({"seed": -1}, 422, "invalid_parameter", "params.seed"),
        ({"strengths": [0]}, 422, "invalid_parameter", "params.strengths.0"),
        ({"policy": "all"}, 422, "invalid_parameter", "params.policy"),
        ({"conf": "high"}, 422, "invalid_parameter", "params.conf"),
        ("{" + " " * 100_000 + "}", 422, "invalid_parameter", "params"),
        ({"per_region": [{"region": 2}, {"region": 2}]}, 422, "invalid_parameter", "params.per_region"),
    ],
)
def test_bad_params(client, engine: ScriptedEngine, params, status, code, parameter):
    problem = assert_problem(post(client, params=params), status, code)
    assert problem["errors"][0]["parameter"] == parameter
    assert not engine.requests


def test_unknown_class(client):
    problem = assert_problem(post(client, params={"classes": ["wing"]}), 422, "unknown_class")
    assert "malformed_hand" in problem["allowed"]


@pytest.mark.parametrize("path", ["/repair", "/detect"])
@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty_image"),
        (b"plainly not", 422, "not_an_image"),
        (encoded(PIXELS)[:-200], 422, "damaged_image"),
        (encoded(PIXELS, "GIF"), 415, "unsupported_type"),
        (encoded(np.zeros((1001, 1000, 3), np.uint8)), 413, "too_many_pixels"),
        (b"\xff" * 1_000_001, 413, "too_many_bytes"),
    ],
)
def test_bad_pictures(serve, engine: ScriptedEngine, path, content, status, code):
    with serve(max_upload_mb=1, max_upload_megapixels=1) as client:
        assert_problem(post(client, content, path=path), status, code)
        assert not engine.requests


@pytest.mark.parametrize(
    ("mask", "status", "code"),
    [
        (encoded(PIXELS[:20]), 422, "mask_size_mismatch"),
        (b"no", 422, "not_an_image"),
        (encoded(PIXELS, "TIFF"), 415, "unsupported_type"),
        (encoded(PIXELS)[:200], 422, "damaged_image"),
    ],
)
def test_bad_masks(client, mask, status, code):
    assert_problem(post(client, mask=mask), status, code)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"files": {"image": b"x"}, "data": {"what": "?"}}, 422, "unknown_parameter"),
        ({"files": {"picture": b"x"}}, 422, "missing_parameter"),
        ({"files": {"image": encoded(PIXELS)}, "data": {"dry_run": "maybe"}}, 422, "invalid_parameter"),
        ({"json": {"image": "x"}}, 415, "unsupported_media_type"),
        (
            {"content": encoded(PIXELS), "headers": {"Content-Type": "image/png"}},
            415,
            "unsupported_media_type",
        ),
        ({}, 415, "unsupported_media_type"),
    ],
)
def test_bad_forms(client, request_, status, code):
    assert_problem(client.post("/repair", **request_), status, code)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=x"])
def test_a_form_that_is_none(client, content_type):
    response = client.post("/repair", content=b"no form at all", headers={"Content-Type": content_type})
    assert response.status_code in {400, 422}
    assert response.headers["content-type"] == "application/problem+json"


def test_a_picture_sent_as_text_is_refused(client):
    response = client.post("/repair", data={"image": "text"}, files={"mask": encoded(PIXELS)})
    assert_problem(response, 422, "invalid_parameter")


def test_detect(client, engine: ScriptedEngine):
    body = post(client, path="/detect").json()
    assert set(body) == {"id", "width", "height", "detections", "heatmap_url", "timings_s"}
    assert body["heatmap_url"] is None
    assert (body["width"], body["height"]) == (48, 40)
    assert [seen["class_name"] for seen in body["detections"]] == ["malformed_hand", "hand"]
    assert body["detections"][0]["xyxy"] == [0, 0, 24, 20]
    assert body["detections"][0]["conf"] == pytest.approx(0.9)
    assert engine.requests == [None]


def test_detect_with_a_threshold(client, engine: ScriptedEngine):
    body = post(client, path="/detect", conf="0.6").json()
    assert len(body["detections"]) == 1
    assert engine.requests == [0.6]


def test_detect_with_a_heat_map(client, engine: ScriptedEngine):
    body = post(client, path="/detect", heatmap="true").json()
    shown = client.get(body["heatmap_url"])
    assert shown.headers["content-type"] == "image/png"
    assert np.array_equal(decoded(shown.content), PIXELS ^ 255)
    assert post(client, path="/detect", heatmap="false").json()["heatmap_url"] is None


@pytest.mark.parametrize(
    ("wish", "parameter"),
    [({"methods": ["redraw", "nudge"]}, "methods"), ({"mask_source": "heatmap"}, "mask_source")],
)
def test_what_needs_a_gradient_is_refused_before_it_waits(serve, engine: ScriptedEngine, wish, parameter):
    engine.gradient = False
    with serve() as client:
        asked = client.post("/generate", json={"prompt": "a hand", "repair": wish})
        problem = assert_problem(asked, 422, "no_gradient")
        assert problem["errors"][0]["parameter"] == parameter
        assert client.get("/jobs").json()["jobs"] == []


def test_a_detector_without_a_gradient_has_no_heat_map(serve, engine: ScriptedEngine):
    engine.gradient = False
    with serve() as client:
        problem = assert_problem(post(client, path="/detect", heatmap="true"), 422, "no_gradient")
        assert [error["parameter"] for error in problem["errors"]] == ["heatmap"]
        assert engine.requests == []
        assert post(client, path="/detect").status_code == 200


@pytest.mark.parametrize("heatmap", ["2", "maybe"])
def test_detect_with_no_clear_word_on_the_heat_map(client, heatmap):
    assert_problem(post(client, path="/detect", heatmap=heatmap), 422, "invalid_parameter")


EVERYTHING = {
    "max_conf": 0.9,
    "min_area": 0.01,
    "max_area": 0.5,
    "order": "area",
    "only": [0, 2],
    "skip": [1],
    "merge_iou": 0.7,
    "methods": ["redraw", "nudge"],
    "num_inference_steps": 12,
    "guidance_scale": 3,
    "mask_source": "heatmap",
    "mask_threshold": 0.3,
    "mask_least_share": 0.2,
    "nudge": {"window": [0.1, 0.6], "strength": [0.3, 0.1], "copies": 2, "presence_weight": 2},
    "per_class": {"limb": {"strengths": [1], "prompt": "a leg", "fill": True}},
    "per_region": [{"region": 2, "methods": ["redraw"], "guidance_scale": 0}],
}


def test_every_choice_reaches_the_engine(client, engine: ScriptedEngine):
    assert post(client, params=json.dumps(EVERYTHING)).status_code == 200
    assert engine.requests[0].params == RepairParams(
        methods=(Method.REDRAW, Method.NUDGE),
        num_inference_steps=12,
        guidance_scale=3,
        merge_iou=0.7,
        max_conf=0.9,
        min_area=0.01,
        max_area=0.5,
        order=Order.AREA,
        only=(0, 2),
        skip=(1,),
        mask_source=MaskSource.HEATMAP,
        mask_threshold=0.3,
        mask_least_share=0.2,
        nudge=NudgeParams(window=(0.1, 0.6), strength=(0.3, 0.1), copies=2, presence_weight=2),
        per_class={"limb": RegionSettings(strengths=(1.0,), prompt="a leg", fill=True)},
        per_region=(NumberedRegionSettings(region=2, methods=(Method.REDRAW,), guidance_scale=0),),
    )


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"max_conf": 0}, "max_conf"),
        ({"max_area": 2}, "max_area"),
        ({"order": "size"}, "order"),
        ({"only": [64]}, "only.0"),
        ({"skip": [-1]}, "skip.0"),
        ({"merge_iou": 0}, "merge_iou"),
        ({"methods": []}, "methods"),
        ({"methods": ["paint"]}, "methods.0"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"mask_source": "hand"}, "mask_source"),
        ({"nudge": {"window": [0.5, 0.4]}}, "nudge"),
        ({"nudge": {"strength": [0, 1]}}, "nudge.strength.0"),
        ({"nudge": {"jitter": 1}}, "nudge.jitter"),
        ({"per_class": {"limb": {"strengths": [2]}}}, "per_class.limb.strengths.0"),
        ({"per_region": [{"prompt": "x"}]}, "per_region.0.region"),
    ],
)
def test_a_wrong_choice_is_named_with_what_is_allowed(client, wrong, parameter):
    response = post(client, params=json.dumps(wrong))
    assert response.status_code == 422
    (error, *_) = response.json()["errors"]
    assert error["parameter"] == f"params.{parameter}"
    assert error["allowed"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"min_area": 0.5, "max_area": 0.2}, "max_area_out_of_range"),
        ({"per_class": {"foot": {}}}, "unknown_class"),
    ],
)
def test_choices_that_contradict_the_models_or_themselves(client, wrong, code):
    problem = post(client, params=json.dumps(wrong)).json()
    assert problem["code"] == code
    assert problem["allowed"]


@pytest.mark.parametrize("conf", ["0", "1", "-1", "nan", "high"])
def test_detect_with_a_bad_threshold(client, conf):
    assert_problem(post(client, path="/detect", conf=conf), 422, "invalid_parameter")


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((40, 48), np.uint8),
        np.dstack((np.zeros((40, 48, 3), np.uint8), np.eye(40, 48, dtype=np.uint8) * 255)),
        np.full((40, 48, 3), (255, 0, 0), np.uint8),
    ],
    ids=["0 and 1", "black on transparent", "red"],
)
def test_a_mask_without_paint_is_refused(client, engine: ScriptedEngine, mask: np.ndarray):
    problem = assert_problem(post(client, mask=encoded(mask)), 422, "nothing_painted")
    assert "white" in problem["allowed"]
    assert not engine.requests


def test_a_class_that_is_never_repaired_is_refused(client, engine: ScriptedEngine):
    problem = assert_problem(post(client, params={"classes": ["person"]}), 422, "unrepairable_class")
    assert problem["allowed"] == ["hand", "malformed_hand", "limb", "malformed_limb"]
    assert not engine.requests


def test_settings_in_order(client, engine: ScriptedEngine):
    assert post(client, params={"in_order": [{"prompt": "a"}, None]}).status_code == 200
    assert engine.requests[0].params.in_order == (RegionSettings(prompt="a"), None)


def test_a_repaired_png_is_shown_as_it_was(client, engine: ScriptedEngine):
    engine.outcome = Outcome.REPAIRED
    looks = ((b"gAMA", (100_000).to_bytes(4)), (b"pHYs", bytes(9)))
    sixteen = png_with(*looks, png=png_of(48, 40, 16, 2))
    response = post(client, sixteen, headers=PNG)
    assert set(looks) <= {(chunk.kind, chunk.data) for chunk in read_chunks(response.content, 100)}
    told = json.loads(response.headers["x-anatomend-unused"])
    assert [one["reason"] for one in told] == ["16 bits a sample became 8"]
