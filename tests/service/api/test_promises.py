"""The promises over HTTP: the real engine, a diffusion model of random weights and a scripted painter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.engine.engine import DiffusionEngine
from service.runtime.settings import Settings
from tests.fakes import ColourDetector, PaintInpainter, engine_of, paint_part, picture
from tests.service.live import until_ready
from tests.service.problems import assert_problem
from tests.service.scripted import decoded, encoded

BAD_HAND = picture(("malformed_hand", (30, 30, 60, 60)))


@pytest.fixture(params=["hand", "malformed_hand"])
def painted(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(tiny_model, tmp_path: Path, painted: str) -> Iterator[TestClient]:
    def load(_: Settings) -> DiffusionEngine:
        painter = PaintInpainter(lambda seed, strength: paint_part(painted))
        return engine_of(tiny_model, ColourDetector(), inpainter=painter, max_side_px=64)

    settings = Settings(data_dir=tmp_path, max_side_px=64, allowed_hosts="testserver")
    with TestClient(create_app(settings, load)) as client:
        until_ready(client)
        yield client


def repair(client: TestClient, content: bytes, **data: str) -> dict:
    response = client.post("/repair", files={"image": content}, data=data)
    assert response.status_code == 200, response.text
    return response.json()["images"][0]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_only_the_mask_changes_and_only_for_the_better(client, painted: str, kind: str):
    content = encoded(BAD_HAND, kind, lossless=True) if kind == "WEBP" else encoded(BAD_HAND)
    answer = repair(client, content, params=json.dumps({"seed": 4}))
    final = decoded(client.get(answer["url"]).content)
    masks = [decoded(client.get(region["mask_url"]).content) for region in answer["regions"]]
    assert np.array_equal(final[masks[0] == 0], BAD_HAND[masks[0] == 0])
    if painted == "hand":
        assert answer["outcome"] == "repaired"
        assert answer["regions"][0]["accepted"]
    else:
        assert answer["outcome"] == "unrepaired"
        assert np.array_equal(final, BAD_HAND)
        assert answer["url"] == answer["original_url"]
    assert answer["regions"][0]["attempts"]


def test_no_defect_no_change(client):
    content = encoded(picture(("hand", (30, 30, 60, 60))), compress_level=0)
    answer = repair(client, content)
    assert (answer["outcome"], answer["regions"]) == ("clean", [])
    assert client.get(answer["url"]).content == content


def test_a_dry_run_tells_the_plan_and_its_masks(client):
    answer = repair(client, encoded(BAD_HAND), dry_run="true")
    assert answer["regions"][0]["attempts"] == []
    assert decoded(client.get(answer["regions"][0]["mask_url"]).content).any()
    assert answer["url"] == answer["original_url"]


def test_a_mask_takes_the_place_of_the_search(client):
    mask = np.zeros(BAD_HAND.shape[:2], np.uint8)
    mask[:20, :20] = 255
    response = client.post("/repair", files={"image": encoded(BAD_HAND), "mask": encoded(mask)})
    regions = response.json()["images"][0]["regions"]
    assert len(regions) == 1
    assert regions[0]["xyxy"][0] < 20


def test_the_same_request_gives_the_same_bytes(client):
    wish = {"prompt": "a hand", "seed": 11, "num_images": 2}
    first, again = (client.post("/generate", json=wish).json()["images"] for _ in range(2))
    assert first == again
    assert (first[0]["width"], first[0]["height"]) == (32, 32)


def test_limits_and_models(client):
    assert_problem(client.post("/generate", json={"prompt": "x", "width": 72}), 422, "size_too_large")
    wish = {"prompt": "x", "repair": {"classes": ["wing"]}}
    assert_problem(client.post("/generate", json=wish), 422, "unknown_class")
    cards = client.get("/models").json()["models"]
    assert [card["role"] for card in cards] == ["generator", "detector"]
    assert cards[0]["native_size_hw"] == [32, 32]


def test_the_smallest_picture(client):
    assert repair(client, encoded(np.zeros((1, 1, 3), np.uint8)))["outcome"] == "clean"


def random_picture(rng: np.random.Generator) -> np.ndarray:
    """One to three malformed parts at random places, in a picture of a random size."""
    size = int(rng.integers(64, 129))
    boxes = []
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(0, size - 24, 2)
        width, height = rng.integers(10, 24, 2)
        name = str(rng.choice(["malformed_hand", "malformed_limb"]))
        boxes.append((name, (int(x), int(y), int(x + width), int(y + height))))
    return picture(*boxes, size_hw=(size, size))


@pytest.mark.parametrize("count", [6, pytest.param(500, marks=pytest.mark.slow)])
def test_not_one_pixel_outside_the_masks_differs(tiny_model, tmp_path, count):
    """Some redraws mend, some do not, as their seeds have it."""

    def load(_: Settings) -> DiffusionEngine:
        painter = PaintInpainter(lambda seed, strength: paint_part("hand" if seed % 3 else "malformed_hand"))
        return engine_of(tiny_model, ColourDetector(), inpainter=painter, max_side_px=64)

    rng = np.random.default_rng(0)
    outcomes: dict[str, int] = {}
    params = json.dumps({"seeds_per_attempt": 1, "strengths": [0.5, 0.8], "seed": 4})
    with TestClient(create_app(Settings(data_dir=tmp_path), load), "http://localhost") as client:
        until_ready(client)
        for _ in range(count):
            before = random_picture(rng)
            answer = repair(client, encoded(before), params=params)
            after = decoded(client.get(answer["url"]).content)
            free = np.ones(before.shape[:2], bool)
            for region in answer["regions"]:
                free &= decoded(client.get(region["mask_url"]).content) == 0
            assert np.array_equal(after[free], before[free])
            outcomes[answer["outcome"]] = outcomes.get(answer["outcome"], 0) + 1
    assert {"repaired", "unrepaired"} <= set(outcomes) or count < 100, outcomes
