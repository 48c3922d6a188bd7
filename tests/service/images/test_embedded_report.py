from __future__ import annotations

import json

import numpy as np
import pytest

from service.core.report import Outcome
from service.images.decode import UploadLimits, read_image
from service.images.embedded_report import read_report, with_report
from service.images.encode import encode_image
from service.images.png_chunks import BrokenPng, Chunk, read_chunks, write_chunks
from service.schemas.embedded_facts import embedded_facts
from tests.service.scripted import ScriptedEngine, decoded, encoded, noise

PNG = encode_image(noise((9, 7)))
REPORT = {"seed": 7, "prompt": "a hand – ünd \ud800 more", "regions": [{"conf": 0.1}]}


def test_what_is_written_can_be_read_and_the_picture_is_the_same():
    png = with_report(PNG, REPORT)
    assert read_report(png) == REPORT
    assert np.array_equal(decoded(png), noise((9, 7)))
    assert read_chunks(png, 9)[2:] == read_chunks(PNG, 9)[1:]


def test_image_tools_show_it():
    from io import BytesIO

    from PIL import Image as Pillow

    assert json.loads(Pillow.open(BytesIO(with_report(PNG, REPORT))).info["anatomend"]) == REPORT


def test_equal_reports_give_equal_bytes():
    assert with_report(PNG, REPORT) == with_report(PNG, dict(reversed(REPORT.items())))
    assert with_report(with_report(PNG, {"old": 1}), REPORT) == with_report(PNG, REPORT)


def test_a_report_is_metadata_and_goes_when_it_is_uploaded():
    assert read_image(with_report(PNG, REPORT), UploadLimits(10_000, 10_000)).png == PNG


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"x":"' + b"y" * 1_000_000 + b'"}']
)
def test_a_report_that_cannot_be_read(text: bytes):
    header, *others = read_chunks(PNG, 9)
    forged = write_chunks((header, Chunk(b"iTXt", b"anatomend\0\0\0\0\0" + text), *others))
    assert read_report(forged) is None


def test_no_report():
    assert read_report(PNG) is None
    assert read_report(b"") is None
    assert read_report(encoded(noise((3, 3)), "JPEG")) is None
    assert read_report(PNG[:-9]) is None


def test_only_a_png_takes_a_report():
    with pytest.raises(BrokenPng):
        with_report(b"no", REPORT)
    with pytest.raises(ValueError, match="JSON"):
        with_report(PNG, {"seam": float("nan")})


def test_the_facts_hold_nothing_that_changes_from_run_to_run():
    engine = ScriptedEngine(outcome=Outcome.REPAIRED)
    from service.core.requests import RepairRequest

    wish = RepairRequest(image=noise((8, 8)), prompt="private", seed=3)
    first, second = (embedded_facts(engine.repair(wish)) for _ in range(2))
    assert with_report(PNG, first) == with_report(PNG, second)
    assert set(first) == {"format", "seed", "outcome", "models", "regions"}
    assert "mask_url" not in first["regions"][0]
    assert first["regions"][0]["attempts"][0]["verdict"] == "accepted"
    assert "private" not in json.dumps(first)
