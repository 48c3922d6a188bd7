from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from service import cli
from service.api import app
from service.api.app import create_app
from service.cli import local
from service.core.errors import ModelUnavailable
from service.core.params import (
    MaskSource,
    Method,
    NudgeParams,
    Order,
    Policy,
    RepairParams,
)
from service.core.report import Outcome, Unused
from tests.service.scripted import MODELS, ScriptedEngine, decoded, encoded, noise

PIXELS = noise((40, 48), 1)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    engine = ScriptedEngine()
    monkeypatch.setattr(local, "load_engine", lambda _: engine)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.png").write_bytes(encoded(PIXELS))
    return engine


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments])
    return caught.value.code or 0


def test_generate(engine: ScriptedEngine, capsys):
    assert run("generate", "a hand", "-o", "out.png", "--seed", "3", "--steps", "4") == 0
    assert np.array_equal(decoded(Path("out.png").read_bytes()), noise((64, 64), 3))
    wish = engine.requests[0]
    assert (wish.prompt, wish.seed, wish.num_inference_steps, wish.repair) == ("a hand", 3, 4, RepairParams())
    assert capsys.readouterr().out == "out.png: clean, 64×64, seed 3\n"


def test_generate_several_with_a_sheet(engine: ScriptedEngine, capsys):
    engine.outcome = Outcome.REPAIRED
    arguments = "--num-images", "2", "--sheet", "sheet.png", "--json", "--seed", "8"
    assert run("generate", "x", "-o", "out.png", *arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [image["url"] for image in answer["images"]] == ["out-1.png", "out-2.png"]
    assert [image["seed"] for image in answer["images"]] == [8, 9]
    assert answer["images"][0]["regions"][0]["attempts"][0]["verdict"] == "accepted"
    assert answer["models"] == MODELS
    assert Path("out-2.png").exists()
    assert not Path("out.png").exists()
    height, width, _ = decoded(Path("sheet.png").read_bytes()).shape
    assert width > 3 * 256
    assert height > 2 * 256


def test_generate_options_reach_the_engine(engine: ScriptedEngine):
    run("generate", "x", "-o", "o.png", "--no-repair", "--width", "72", "--guidance-scale", "2.5")
    wish = engine.requests[0]
    assert (wish.repair, wish.width, wish.guidance_scale) == (None, 72, 2.5)
    run(
        *("generate", "x", "-o", "o.png", "--conf", "0.4", "--class", "malformed_hand"),
        *("--strength", "0.5", "--strength", "1", "--policy", "every", "--grow", "0.2"),
    )
    assert engine.requests[1].repair == RepairParams(
        conf=0.4, classes=("malformed_hand",), strengths=(0.5, 1.0), policy=Policy.EVERY, grow=0.2
    )


def test_repair_without_a_finding_copies_the_file(engine: ScriptedEngine, capsys):
    assert run("repair", "in.png", "-o", "out.png") == 0
    assert Path("out.png").read_bytes() == Path("in.png").read_bytes()
    assert "clean" in capsys.readouterr().out


def test_repair_may_overwrite_its_input(engine: ScriptedEngine, capsys):
    engine.outcome = Outcome.REPAIRED
    Path("mask.png").write_bytes(encoded(PIXELS[..., 0]))
    assert run("repair", "in.png", "-o", "in.png", "--mask", "mask.png", "--sheet", "s.png") == 0
    assert not np.array_equal(decoded(Path("in.png").read_bytes()), PIXELS)
    assert engine.requests[0].mask.shape == (40, 48)
    assert "malformed_hand at 0, 0, 24, 20: 0.90 to 0.10, accepted" in capsys.readouterr().out
    assert Path("s.png").exists()


def test_a_dry_run_writes_no_picture(engine: ScriptedEngine, tmp_path: Path, capsys):
    engine.outcome = Outcome.UNREPAIRED
    assert run("repair", "in.png", "--dry-run", "--json") == 0
    assert engine.requests[0].dry_run
    assert json.loads(capsys.readouterr().out)["images"][0]["url"] == "in.png"
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_detect(engine: ScriptedEngine, capsys):
    assert run("detect", "in.png", "--sheet", "seen.png") == 0
    assert "malformed_hand" in capsys.readouterr().out
    assert run("detect", "in.png", "--conf", "0.6", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["width"], body["height"]) == (48, 40)
    assert [seen["class_name"] for seen in body["detections"]] == ["malformed_hand"]
    assert Path("seen.png").exists()


def test_detect_with_a_heat_map(engine: ScriptedEngine):
    assert run("detect", "in.png", "--heatmap", "heat.png") == 0
    assert np.array_equal(decoded(Path("heat.png").read_bytes()), PIXELS ^ 255)


def test_every_choice_can_be_an_option(engine: ScriptedEngine, tmp_path: Path):
    (tmp_path / "more.json").write_text('{"nudge": {"copies": 2}, "order": "score"}')
    assert run(
        *("repair", "in.png", "-o", "o.png", "--max-conf", "0.9", "--min-area", "0.01", "--max-area", "0.5"),
        *("--order", "area", "--only", "0", "--only", "2", "--skip", "1", "--merge-iou", "0.7"),
        *("--method", "redraw", "--method", "nudge", "--repair-steps", "12", "--repair-guidance", "3"),
        *("--mask-source", "heatmap", "--mask-threshold", "0.3", "--mask-least-share", "0.2"),
        *("--params", "@more.json"),
    ) == 0  # fmt: skip
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
        nudge=NudgeParams(copies=2),
    )


def test_models(engine: ScriptedEngine, capsys):
    assert run("models", "--json") == 0
    cards = json.loads(capsys.readouterr().out)["models"]
    assert {card["role"]: card["id"] for card in cards} == MODELS
    assert run("models") == 0
    assert "scripted@1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "x"], "-o NAME.png"),
        (["generate", "", "-o", "o.png"], "prompt"),
        (["generate", "x" * 2001, "-o", "o.png"], "2000"),
        (["generate", "x", "-o", "o.jpg"], "PNG"),
        (["generate", "x", "-o", "no/such/o.png"], "no such folder"),
        (["generate", "x", "-o", "folder.png"], "is a folder"),
        (["generate", "x", "-o", "o.png", "--sheet", "s.gif"], "PNG"),
        (["generate", "x", "-o", "o.png", "--num-images", "9"], "num_images"),
        (["generate", "x", "-o", "o.png", "--width", "100"], "multiple"),
        (["generate", "x", "-o", "o.png", "--strength", "2"], "strengths"),
        (["repair", "in.png"], "-o NAME.png"),
        (["repair", "none.png", "-o", "o.png"], "No such file"),
        (["repair", "text.png", "-o", "o.png"], "not a picture"),
        (["repair", "in.png", "-o", "o.png", "--mask", "small.png"], "the mask is"),
        (["repair", "in.png", "-o", "o.png", "--seed", "-1"], "seed"),
        (["repair", "in.png", "-o", "o.png", "--params", "{"], "no JSON"),
        (["repair", "in.png", "-o", "o.png", "--params", "[]"], "no object"),
        (["repair", "in.png", "-o", "o.png", "--params", '{"nudges": 1}'], "nudges"),
        (["repair", "in.png", "-o", "o.png", "--only", "-1"], "only"),
        (["detect", "in.png", "--heatmap", "h.jpg"], "PNG"),
        (["detect", "folder.png"], "Is a directory"),
        (["detect", "in.png", "--conf", "2"], "conf"),
    ],
)
def test_mistakes_are_one_line(engine: ScriptedEngine, tmp_path: Path, capsys, arguments, words):
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "small.png").write_bytes(encoded(PIXELS[:8]))
    (tmp_path / "folder.png").mkdir()
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("anatomend: ")
    assert words in printed.err
    assert not engine.requests


@pytest.mark.parametrize(
    "arguments",
    [["paint"], ["generate"], ["generate", "x", "--size", "3"], ["repair", "in.png", "--policy", "some"]],
)
def test_unknown_commands_and_options(engine: ScriptedEngine, capsys, arguments):
    assert run(*arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_exit_codes_come_from_the_exception(engine: ScriptedEngine, capsys, monkeypatch):
    engine.failures = [ModelUnavailable("no such folder: x", allowed="bundled, a folder")]
    assert run("detect", "in.png") == 3
    assert capsys.readouterr().err == "anatomend: no such folder: x (allowed: bundled, a folder)\n"
    monkeypatch.setenv("ANATOMEND_MAX_UPLOAD_MB", "none")
    assert run("detect", "in.png") == 2
    assert "ANATOMEND_MAX_UPLOAD_MB" in capsys.readouterr().err


def test_a_failed_run_leaves_the_old_file(engine: ScriptedEngine):
    Path("out.png").write_bytes(b"old")
    engine.failures = [ModelUnavailable("gone")]
    assert run("generate", "x", "-o", "out.png") == 3
    assert Path("out.png").read_bytes() == b"old"


def test_serve_ends_with_the_loaders_error(engine: ScriptedEngine, monkeypatch, capsys):
    def load(_: object) -> ScriptedEngine:
        raise ModelUnavailable("no such model")

    monkeypatch.setattr(
        app, "create_app", lambda settings, on_failure: create_app(settings, load, on_failure)
    )
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("PORT", "0")
    assert run("serve") == 3
    assert capsys.readouterr().err.endswith("anatomend: no such model\n")


def test_serve_refuses_a_port_that_is_none(engine: ScriptedEngine, monkeypatch, capsys):
    monkeypatch.setenv("PORT", "http")
    assert run("serve") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_had_no_effect_is_a_warning(engine: ScriptedEngine, capsys):
    engine.unused = (Unused("prompt", "cut after 77 tokens", "… fingers"),)
    engine.outcome, engine.reason = Outcome.NOTHING_ASKED, "left as they were: 1 by skip"
    assert run("generate", "x", "-o", "out.png", "--num-images", "2") == 0
    told = capsys.readouterr()
    assert told.err == "anatomend: warning: prompt (… fingers): cut after 77 tokens\n"
    assert "left as they were: 1 by skip" in told.out
    assert "nothing_asked" in told.out
