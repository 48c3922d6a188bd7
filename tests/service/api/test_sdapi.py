"""The web UI's API: by a client of its own, and by the JSON that front ends send."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
import webuiapi
from PIL import Image as Pillow
from pydantic import BaseModel

from service.api.openai.shapes import GenerationBody
from service.api.sdapi.adetailer import Detailer, Unit, detailer_of
from service.api.sdapi.shapes import Img2Img, Txt2Img
from service.core.params import Policy, RegionSettings, RepairParams
from service.core.report import Outcome, Unused
from service.engine.stub import MODEL_ID, StubEngine
from service.runtime.settings import Settings
from service.schemas.refusals import Refused
from tests.service.live import live
from tests.service.scripted import MODELS, ScriptedEngine, decoded, encoded, noise

PIXELS = noise((40, 48), 1)
PNG = encoded(PIXELS)
CLASSES = ("hand", "malformed_hand", "limb", "malformed_limb", "person", "horse")


@pytest.fixture
def webui(url: str) -> webuiapi.WebUIApi:
    return webuiapi.WebUIApi(host="127.0.0.1", port=urlsplit(url).port)


@pytest.fixture
def post(url: str, scripted: ScriptedEngine) -> Iterator[Callable[..., httpx2.Response]]:
    with httpx2.Client(base_url=f"{url}/sdapi/v1/") as client:
        yield lambda path, **body: client.post(path, json=body)


@pytest.fixture(scope="module")
def slow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with live(Settings(data_dir=tmp_path_factory.mktemp("stub")), StubEngine(0.3)) as address:
        yield f"{address}/sdapi/v1"


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_txt2img_by_the_client(webui: webuiapi.WebUIApi, scripted: ScriptedEngine):
    result = webui.txt2img(
        prompt="a hand", seed=3, width=77, height=64, steps=4, batch_size=2, styles=["fog"]
    )
    assert [image.size for image in result.images] == [(72, 64)] * 2
    assert np.array_equal(np.asarray(result.image), noise((64, 72), 3))
    assert result.info["all_seeds"] == [3, 4]
    assert result.info["sd_model_name"] == MODELS["generator"]
    reasons = {one["name"]: one["reason"] for one in result.info["anatomend"]["unused"]}
    assert {"sampler_name", "styles", "eta", "denoising_strength"} <= set(reasons)
    assert reasons["width"] == "the picture has 72 pixels"
    assert "height" not in reasons
    assert result.parameters["prompt"] == "a hand"
    wish = scripted.requests[0]
    assert (wish.num_inference_steps, wish.guidance_scale, wish.num_images) == (4, 7.0, 2)
    assert wish.repair is None, "this client says that ADetailer is off where nobody asks for it"


def test_adetailer_by_the_client(webui: webuiapi.WebUIApi, scripted: ScriptedEngine):
    scripted.outcome = Outcome.REPAIRED
    hands = webuiapi.ADetailer(ad_model="hand_yolov8n.pt", ad_confidence=0.4, ad_mask_k_largest=2)
    result = webui.txt2img(prompt="x", width=64, height=64, adetailer=[hands])
    assert scripted.requests[0].repair == RepairParams(
        conf=0.4, classes=("malformed_hand",), strengths=(0.4,), max_regions=2, feather_px=4
    )
    assert result.info["extra_generation_params"]["ADetailer model"] == "hand_yolov8n.pt"
    assert result.info["anatomend"]["images"][0]["outcome"] == "repaired"


def test_img2img_with_a_mask_by_the_client(webui: webuiapi.WebUIApi, scripted: ScriptedEngine):
    scripted.outcome = Outcome.REPAIRED
    mask = np.zeros((40, 48), np.uint8)
    mask[:20, :24] = 255
    images, painted = [Pillow.fromarray(PIXELS)], Pillow.fromarray(mask)
    options = {"prompt": "a hand", "denoising_strength": 0.6, "mask_blur": 5, "steps": 9, "cfg_scale": 3}
    result = webui.img2img(images, mask_image=painted, **options)
    changed = np.asarray(result.image.convert("RGB"))
    assert not np.array_equal(changed[:20, :24], PIXELS[:20, :24])
    assert np.array_equal(changed[20:], PIXELS[20:])
    wish = scripted.requests[0]
    assert (wish.params.strengths, wish.params.feather_px, wish.prompt) == ((0.6,), 5, "a hand")
    assert (wish.params.num_inference_steps, wish.params.guidance_scale) == (9, 3)
    assert not {"steps", "cfg_scale"} & set(result.parameters["anatomend_unused"])
    assert np.array_equal(wish.mask, mask / 255)
    webui.img2img(images, mask_image=painted, inpainting_mask_invert=1, **options)
    assert np.array_equal(scripted.requests[1].mask, 1 - mask / 255)


def test_img2img_without_a_mask_repairs(webui: webuiapi.WebUIApi, scripted: ScriptedEngine):
    result = webui.img2img([Pillow.fromarray(PIXELS)], prompt="", denoising_strength=0.5)
    assert np.array_equal(np.asarray(result.image), PIXELS)
    assert any("only what is malformed" in one["reason"] for one in result.info["anatomend"]["unused"])


def test_what_front_ends_ask_first(webui: webuiapi.WebUIApi, scripted: ScriptedEngine, url: str):
    assert webui.has_adetailer
    assert webui.util_get_model_names() == [MODELS["generator"]]
    assert webui.util_get_current_model() == MODELS["generator"]
    assert webui.util_get_sampler_names() == ["Automatic"]
    assert webui.get_upscalers()[0]["name"] == "None"
    assert webui.get_loras() == []
    assert webui.set_options({"sd_model_checkpoint": MODELS["generator"]}) is None
    webui.util_wait_for_ready()
    for body, code in (({"fog": 1}, "unknown_option"), ({"sd_vae": "x"}, "unchangeable_option")):
        answer = httpx2.post(f"{url}/sdapi/v1/options", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json()["allowed"]
    assert httpx2.get(f"{url}/sdapi/v1/nothing").status_code == 404


def test_the_block_as_adetailers_wiki_has_it(post: Callable[..., httpx2.Response], scripted: ScriptedEngine):
    faces = {"ad_model": "face_yolov8n.pt", "ad_prompt": "a face"}
    hands = {
        "ad_model": "hand_yolov8n.pt",
        "ad_denoising_strength": 0.55,
        "ad_dilate_erode": 8,
        "ad_use_steps": True,
        "ad_prompt": "a fine [PROMPT]",
    }
    block = {"ADetailer": {"args": [True, False, faces, hands]}}
    body = {"prompt": "hand", "seed": -1, "alwayson_scripts": block, "init_images": [text_of(PNG)]}
    answer = post("img2img", **body).json()
    info = json.loads(answer["info"])
    assert scripted.requests[0].prompt == "hand"
    assert scripted.requests[0].params == RepairParams(
        classes=("malformed_hand",), strengths=(0.55,), in_order=(RegionSettings(prompt="a fine hand"),)
    )
    assert [(one["name"], one["where"]) for one in info["anatomend"]["unused"]] == [
        ("ad_dilate_erode", "hand_yolov8n.pt"),
        ("ad_use_steps", "hand_yolov8n.pt"),
        ("ad_model", "face_yolov8n.pt"),
    ]
    assert answer["parameters"]["alwayson_scripts"] == block
    assert "init_images" not in answer["parameters"]
    assert base64.b64decode(answer["images"][0]) == PNG


def test_a_block_for_parts_that_are_not_known_changes_nothing(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine
):
    faces = {"ADetailer": {"args": [{"ad_model": "mediapipe_face_full"}]}}
    post("img2img", init_images=[text_of(PNG)], alwayson_scripts=faces)
    assert scripted.requests[0].dry_run
    post("txt2img", prompt="x", alwayson_scripts=faces)
    assert scripted.requests[1].repair is None


def test_without_a_block_repairs_are_the_services_own(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine
):
    answer = post("txt2img", prompt="x", send_images=False, alwayson_scripts={"fog": {"args": [1]}})
    assert scripted.requests[0].repair == RepairParams()
    assert answer.json()["images"] == []
    assert answer.json()["parameters"]["anatomend_unused"] == ["alwayson_scripts.fog"]


def test_a_large_picture_as_a_data_address(post: Callable[..., httpx2.Response], scripted: ScriptedEngine):
    large = encoded(noise((700, 700), 2))
    assert len(large) > 1 << 20, "more than other JSON may hold"
    answer = post("img2img", init_images=[f"data:image/png;base64,{text_of(large)}"])
    assert base64.b64decode(answer.json()["images"][0]) == large


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("txt2img", {"prompt": ""}),
        ("txt2img", {"prompt": "x", "width": 4096}),
        ("txt2img", {"prompt": "x", "batch_size": 9}),
        ("txt2img", {"prompt": "x", "steps": "many"}),
        ("txt2img", {"prompt": "x", "alwayson_scripts": {"ADetailer": {"args": [{"ad_confidence": 2}]}}}),
        ("img2img", {}),
        ("img2img", {"init_images": []}),
        ("img2img", {"init_images": ["http://127.0.0.1/a.png"]}),
        ("img2img", {"init_images": [text_of(b"text")]}),
        ("img2img", {"init_images": [text_of(PNG)], "mask": text_of(encoded(PIXELS[:8]))}),
        ("img2img", {"init_images": [text_of(PNG)], "mask": "?", "inpainting_mask_invert": 1}),
        ("img2img", {"init_images": [text_of(PNG)], "mask": text_of(encoded(PIXELS // 200))}),
        ("txt2img", {"prompt": None}),
        ("txt2img", {"prompt": "x", "seed": 2**53 - 1, "batch_size": 2}),
    ],
)
def test_mistakes_have_a_detail(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine, path: str, body: dict[str, Any]
):
    answer = post(path, **body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert not scripted.requests


def test_progress_and_interrupt(slow_url: str):
    answers: list[httpx2.Response] = []
    body = {"prompt": "x", "steps": 40, "width": 64, "height": 72}
    caller = threading.Thread(
        target=lambda: answers.append(httpx2.post(f"{slow_url}/txt2img", json=body, timeout=60))
    )
    caller.start()
    seen: dict[str, Any] = {"progress": 0.0}
    until = time.monotonic() + 20
    while not (seen["progress"] and seen["current_image"]):
        assert time.monotonic() < until
        seen = httpx2.get(f"{slow_url}/progress").json()
    assert 0 < seen["progress"] < 0.7
    assert seen["eta_relative"] > 0
    assert seen["state"]["sampling_steps"] == 40
    assert seen["state"]["job_count"] == 1
    assert decoded(base64.b64decode(seen["current_image"])).shape == (72, 64, 3)
    hidden = httpx2.get(f"{slow_url}/progress", params={"skip_current_image": True}).json()
    assert hidden["current_image"] is None
    assert httpx2.post(f"{slow_url}/interrupt").json() == {}
    caller.join(20)
    assert answers[0].status_code == 409
    assert httpx2.get(f"{slow_url}/progress").json()["progress"] == 0
    assert httpx2.get(f"{slow_url}/sd-models").json()[0]["title"] == MODEL_ID


@pytest.mark.parametrize(
    ("args", "is_on"),
    [
        ([], False),
        ([False], False),
        ([False, {"ad_model": "hand.pt"}], False),
        ([True, {"ad_model": "None"}], False),
        ([{"ad_model": "hand.pt", "ad_tab_enable": False}], False),
        ([{"ad_model": "hand.pt"}], True),
        ([True, True, {"ad_model": "person_yolov8n-seg.pt"}], True),
    ],
)
def test_when_the_block_is_on(args: list[Any], is_on: bool):
    assert detailer_of({"adetailer": {"args": args}}, CLASSES).is_on is is_on
    assert detailer_of(None, CLASSES) == Detailer()


def test_units_are_joined():
    people = {"ad_model": "person_yolov8s-seg.pt", "ad_confidence": 0.5}
    hands = {"ad_model": "hand_yolov9c.pt", "ad_confidence": 0.2, "ad_mask_blur": 200}
    joined = detailer_of({"ADetailer": {"args": [people, hands]}}, CLASSES)
    assert set(joined.options["classes"]) == {"malformed_hand", "malformed_limb"}
    assert (joined.options["conf"], joined.options["feather_px"]) == (0.5, 64)
    reasons = {one.name: one.reason for one in joined.unused}
    assert "one repair for all" in reasons["alwayson_scripts.ADetailer"]
    assert reasons["ad_mask_blur"] == "taken as 64"
    plain = detailer_of({"ADetailer": {"args": [hands]}}, ("hand", "foot"))
    assert plain.options["classes"] == ["hand"], "a detector that knows no malformed hands"
    assert plain.options["policy"] is Policy.EVERY, "there all that is found is redrawn"


def test_a_unit_that_makes_no_sense_is_refused_by_its_place():
    with pytest.raises(Refused) as caught:
        detailer_of({"ADetailer": {"args": [True, {"ad_model": "hand.pt", "ad_mask_blur": -1}]}}, CLASSES)
    assert caught.value.errors[0]["parameter"] == "alwayson_scripts.ADetailer.args.1.ad_mask_blur"


def test_null_means_left_out(post: Callable[..., httpx2.Response], scripted: ScriptedEngine):
    names = ("seed", "batch_size", "n_iter", "send_images", "negative_prompt", "steps", "width", "styles")
    unit = {"ad_model": "hand.pt", "ad_prompt": None, "ad_mask_k": None, "ad_tab_enable": None}
    block = {"ADetailer": {"args": [unit]}}
    answer = post("txt2img", prompt="x", alwayson_scripts=block, **dict.fromkeys(names))
    assert answer.status_code == 200, answer.text
    assert answer.json()["images"]
    assert answer.json()["parameters"]["anatomend_unused"] == []
    names = ("prompt", "seed", "mask", "mask_blur", "inpainting_mask_invert", "alwayson_scripts")
    answer = post("img2img", init_images=[text_of(PNG)], **dict.fromkeys(names))
    assert answer.status_code == 200, answer.text


def test_a_strength_of_zero_redraws_nothing(post: Callable[..., httpx2.Response], scripted: ScriptedEngine):
    mask = text_of(encoded(np.full((40, 48), 255, np.uint8)))
    answer = post("img2img", init_images=[text_of(PNG)], mask=mask, denoising_strength=0)
    assert answer.status_code == 200, answer.text
    assert scripted.requests[0].dry_run
    block = {"ADetailer": {"args": [{"ad_model": "hand.pt", "ad_denoising_strength": 0}]}}
    assert post("txt2img", prompt="x", alwayson_scripts=block).status_code == 200
    assert scripted.requests[1].repair is None


def test_every_name_without_effect_is_told_with_its_reason(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine
):
    asked = {
        "resize_mode": 1,
        "inpaint_full_res": False,
        "inpaint_full_res_padding": 32,
        "latent_mask": "x",
        "initial_noise_multiplier": 1.1,
        "mask_round": False,
        "subseed": 3,
        "eta": 0.5,
        "hr_scale": 3,
        "s_churn": 1,
        "fog": "thick",
        "width": 512,
        "height": 40,
        "batch_size": 2,
    }
    defaults = {"subseed_strength": 0, "s_noise": 1.0, "hr_upscaler": "Latent", "mask_blur_x": 4}
    answer = post("img2img", init_images=[text_of(PNG)], mask=text_of(PNG), **asked, **defaults).json()
    assert set(answer["parameters"]["anatomend_unused"]) == set(asked) - {"height"}
    told = json.loads(answer["info"])["anatomend"]["unused"]
    assert all(one["reason"] for one in told)


def test_what_the_engine_did_not_use_is_told_too(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine
):
    scripted.unused = (Unused("prompt", "cut after 77 tokens", "… fingers"),)
    answer = post("txt2img", prompt="x").json()
    assert answer["parameters"]["anatomend_unused"] == ["prompt"]
    told = {"name": "prompt", "reason": "cut after 77 tokens", "where": "… fingers"}
    assert json.loads(answer["info"])["anatomend"]["unused"] == [told]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        (("", ""), None),
        (("[SKIP]", ""), [None]),
        (("a [SEP] b", ""), [{"prompt": "a"}, {"prompt": "b"}]),
        (
            ("a[SEP][SEP] [SKIP]", "no"),
            [{"prompt": "a", "negative_prompt": "no"}, {"negative_prompt": "no"}, None],
        ),
        (("", "[PROMPT], six fingers"), [{"negative_prompt": "fog, six fingers"}]),
        (
            ("fine [PROMPT] [SEP] x", "n"),
            [{"prompt": f"{p}", "negative_prompt": "n"} for p in ("fine dog", "x")],
        ),
    ],
)
def test_the_language_of_its_prompts(prompts: tuple[str, str], expected: list[Any] | None):
    unit = {"ad_model": "hand.pt", "ad_prompt": prompts[0], "ad_negative_prompt": prompts[1]}
    options = detailer_of({"ADetailer": {"args": [unit]}}, CLASSES, "dog", "fog").options
    assert options.get("in_order") == expected


def test_its_prompts_reach_repairs_of_what_is_made(
    post: Callable[..., httpx2.Response], scripted: ScriptedEngine
):
    block = {"ADetailer": {"args": [{"ad_model": "hand.pt", "ad_prompt": "a [SEP] [SKIP]"}]}}
    answer = post("txt2img", prompt="x", alwayson_scripts=block).json()
    assert scripted.requests[0].repair.in_order == (RegionSettings(prompt="a"), None)
    assert answer["parameters"]["anatomend_unused"] == []


@pytest.mark.parametrize("body", [Txt2Img, Img2Img, GenerationBody, Unit])
def test_the_document_says_what_may_be_null(body: type[BaseModel]):
    schema = body.model_json_schema()
    may_be_null = {
        name for name, one in schema["properties"].items() if {"type": "null"} in one.get("anyOf", ())
    }
    assert may_be_null == set(schema["properties"]) - set(schema.get("required", ()))
