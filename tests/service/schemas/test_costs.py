"""Checks what a request costs: everything that makes it take longer makes it dearer."""

from __future__ import annotations

from typing import Any

import pytest

from service.schemas.costs import cost_of_generate, cost_of_repair
from service.schemas.requests import GenerateBody, RepairJob, validated

MODELS = [{"role": "generator", "native_size_hw": (100, 100), "defaults": {"num_inference_steps": 10}}]
LARGE = {"role": "inpainter", "native_size_hw": [200, 200], "defaults": {"num_inference_steps": 10}}
SMALL_HW = 1, 1
PLAIN: dict[str, Any] = {"strengths": [0.5], "seeds_per_attempt": 1, "max_regions": 4}
ONE = 100 * 100 * 10 * 0.5 / 1e6


def cost(
    models: Any = MODELS, size_hw: tuple[int, int] = SMALL_HW, areas: int | None = None, **asked: Any
) -> float:
    return cost_of_repair(validated(RepairJob, PLAIN | asked), models, size_hw, areas)


@pytest.mark.parametrize(
    ("asked", "times"),
    [
        ({}, 1),
        ({"seeds_per_attempt": 16}, 16),
        ({"strengths": [0.5, 1.0]}, 3),
        ({"max_regions": 64}, 16),
        ({"max_regions": 1}, 1),
        ({"num_inference_steps": 200}, 20),
        ({"methods": ["nudge"]}, 1 + 0.5 * 5),
        ({"methods": ["redraw", "nudge"], "nudge": {"window": (0, 1), "copies": 8}}, 1 + 11),
        ({"per_class": {"hand": {"num_inference_steps": 100, "seeds_per_attempt": 2}}}, 20),
        ({"per_region": [{"region": 0, "strengths": [1.0] * 8}]}, 16),
        ({"models": [*MODELS, LARGE]}, 4),
        ({"areas": 3}, 3),
        ({"areas": 60}, 60),
    ],
)
def test_a_repair_costs_by_all_that_is_asked_for(asked: dict[str, Any], times: float):
    assert cost(**asked) == pytest.approx(times * ONE, rel=1e-3)


def test_a_large_window_costs_for_each_candidate():
    extra = cost(size_hw=(4000, 3000), seeds_per_attempt=4) - cost(seeds_per_attempt=4)
    assert extra == pytest.approx(4 * 3000 * 3000 / 4 / 1e6, rel=1e-3)


def test_a_dry_run_costs_a_look():
    assert cost(dry_run=True, seeds_per_attempt=16) == pytest.approx(100 * 100 / 1e6)


def test_repairs_beyond_the_usual_count_for_every_picture():
    def made(**asked: Any) -> float:
        return cost_of_generate(GenerateBody(prompt="x", **asked), MODELS)

    assert made() == made(repair=False) == made(repair={}) == made(repair=PLAIN) == pytest.approx(0.1)
    dear = {"strengths": [1.0] * 8, "seeds_per_attempt": 16, "max_regions": 64, "num_inference_steps": 200}
    assert made(repair=dear, num_images=2) > 2 * 16 * 8 * 16 * 200 * 100 * 100 / 1e6


def test_the_call_that_kept_the_next_one_waiting_for_a_day_is_above_any_limit():
    asked = {"width": 2048, "height": 2048, "num_inference_steps": 200, "num_images": 8, "best_of": 8}
    wish = GenerateBody(prompt="x", watch={"max_restarts": 8}, **asked)
    assert cost_of_generate(wish, MODELS) > 90_000
