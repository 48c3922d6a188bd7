"""Watching as it is asked for and told of: HTTP, the command line, the client, the picture itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.client import Anatomend
from service.core.job_state import JobKind
from service.core.params import WatchParams
from service.core.runs import Alarm, InFlight, Run, RunEnd, Sampling, ThresholdsOrigin
from service.images.embedded_report import read_report
from service.schemas.answer_builder import picture_png
from service.schemas.answers import ImageAnswer
from service.schemas.costs import cost_of_generate
from service.schemas.requests import GenerateBody
from tests.service.cli.test_commands import engine as cli_engine
from tests.service.cli.test_commands import run
from tests.service.scripted import ScriptedEngine

ALARM = Alarm(
    rule="far_over",
    class_name="malformed_hand",
    conf=0.95,
    expected=1.4,
    threshold=0.9,
    step=3,
    fraction=0.3,
    xyxy=(1.0, 2.0, 3.0, 4.0),
)
SAMPLING = Sampling(
    runs=(
        Run(
            seed=5,
            end=RunEnd.ABORTED,
            step=3,
            steps=10,
            alarm=ALARM,
            in_flight=InFlight(alarm=ALARM, from_step=1, seed=99, cured=False),
            denoiser_calls=5,
        ),
        Run(seed=6, end=RunEnd.FINISHED, step=10, steps=10, chosen=True, conf=0.2, defects=0, decodes=1),
    ),
    preview="own",
    thresholds=ThresholdsOrigin.GUESSED,
    notes=("a note",),
)
HOW = {"fractions": [0.2, 0.6], "stop": True, "max_restarts": 1, "in_flight": True}
PARAMS = WatchParams(fractions=(0.2, 0.6), stop=True, max_restarts=1, in_flight=True)
MODELS = [{"role": "generator", "native_size_hw": (100, 100), "defaults": {"num_inference_steps": 10}}]

__all__ = ["cli_engine"]


class Watching(ScriptedEngine):
    def generate(self, request, *more):
        return [replace(report, sampling=SAMPLING) for report in super().generate(request, *more)]


def test_the_answer_and_the_picture_tell_of_every_run():
    (report,) = Watching().generate(GenerateBody(prompt="x").to_request())
    told = read_report(picture_png(report))["sampling"]
    assert [run["end"] for run in told["runs"]] == ["aborted", "finished"]
    assert told["runs"][0]["alarm"]["threshold"] == 0.9
    assert told["notes"] == ["a note"]
    facts = ImageAnswer(
        url="", sha256="", original_url=None, width=1, height=1, seed=6, outcome="clean", regions=[],
        sampling=SAMPLING,
    )  # fmt: skip
    assert facts.model_dump(mode="json")["sampling"] == told
    assert ImageAnswer.model_validate_json(facts.model_dump_json()).sampling == SAMPLING


@pytest.mark.parametrize(
    ("asked", "expected"), [({}, None), ({"watch": True}, WatchParams()), ({"watch": HOW}, PARAMS)]
)
def test_the_wish_reaches_the_engine(client, engine: ScriptedEngine, asked, expected):
    response = client.post("/generate", json={"prompt": "x", "best_of": 3, **asked})
    assert response.status_code == 200
    assert response.json()["images"][0]["sampling"] is None, "the scripted engine tells of none"
    assert (engine.requests[0].watch, engine.requests[0].best_of) == (expected, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"best_of": 9},
        {"watch": {"fractions": []}},
        {"watch": {"fractions": [1.0]}},
        {"watch": {"max_restarts": -1}},
        {"watch": {"often": 3}},
        {"watch": "yes"},
    ],
)
def test_what_cannot_be_is_refused_with_what_can(client, wrong):
    response = client.post("/generate", json={"prompt": "x", **wrong})
    assert response.status_code == 422
    problem = response.json()
    assert problem["allowed"] is not None
    assert next(iter(wrong)) in problem["detail"]


def test_the_client_passes_it_on(url: str, scripted: ScriptedEngine):
    with Anatomend(url, timeout_s=30) as service:
        service.generate("x", best_of=2, watch={"in_flight": True})
        assert next(service.jobs()).kind is JobKind.GENERATE
    assert scripted.requests[0].watch == WatchParams(in_flight=True)
    assert scripted.requests[0].best_of == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), None),
        (("--watch",), WatchParams()),
        (("--no-watch",), None),
        (("--in-flight",), WatchParams(in_flight=True)),
        (("--watch-at", "0.2", "--watch-at", "0.6", "--max-restarts", "1", "--in-flight"), PARAMS),
        (("--watch", "--no-watch-stop"), WatchParams(stop=False)),
    ],
)
def test_the_command_line_passes_it_on(cli_engine: ScriptedEngine, options, expected, capsys):
    assert run("generate", "x", "-o", "o.png", "--best-of", "2", "--json", *options) == 0
    assert (cli_engine.requests[0].watch, cli_engine.requests[0].best_of) == (expected, 2)
    assert "sampling" in json.loads(capsys.readouterr().out)["images"][0]
    assert Path("o.png").exists()


def test_how_to_watch_without_watching_is_a_mistake(cli_engine: ScriptedEngine, capsys):
    assert run("generate", "x", "-o", "o.png", "--no-watch", "--in-flight") == 2
    assert "--no-watch" in capsys.readouterr().err


def test_costs_count_candidates_and_restarts():
    def cost(**asked):
        return cost_of_generate(GenerateBody(prompt="x", **asked), MODELS)

    assert cost() == pytest.approx(0.1)
    assert cost(best_of=3, num_images=2) == pytest.approx(0.6)
    assert cost(watch=True) == pytest.approx(0.1 * (1 + 3 * 0.7))
    assert cost(watch={"stop": False}) == pytest.approx(0.1)
    assert cost(watch=HOW) == pytest.approx(0.1 * (1 + 0.6 + 0.2 * 2))
