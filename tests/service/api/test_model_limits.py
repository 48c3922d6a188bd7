"""Checks that the door refuses what the loaded model cannot do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from service.core.model_limits import ModelLimits
from tests.service.problems import assert_problem
from tests.service.scripted import ScriptedEngine, encoded, noise


class Distilled(ScriptedEngine):
    def models(self):
        limits = {"generator": ModelLimits(size_step_px=16, max_steps=50)}
        return [replace(card, limits=limits.get(card.role)) for card in super().models()]


@pytest.mark.parametrize(
    ("asked", "code", "allowed"),
    [
        ({"num_inference_steps": 60}, "num_inference_steps_out_of_range", [1, 50]),
        ({"repair": {"num_inference_steps": 60}}, "num_inference_steps_out_of_range", [1, 50]),
        ({"repair": {"strengths": [0.01]}}, "strength_out_of_range", [0.02, 1]),
        ({"width": 88}, "size_not_multiple_of_16", "a multiple of 16"),
    ],
)
def test_by_the_model_s_card(serve, asked, code, allowed):
    engine = Distilled()
    with serve(lambda _: engine) as client:
        refused = client.post("/generate", json={"prompt": "a hand", **asked})
        assert assert_problem(refused, 422, code)["allowed"] == allowed
        if "repair" in asked:
            files = {"image": encoded(noise((64, 64), 1))}
            refused = client.post("/repair", files=files, data={"params": json.dumps(asked["repair"])})
            assert_problem(refused, 422, code)
        assert client.get("/jobs").json()["jobs"] == []
    assert engine.requests == []
