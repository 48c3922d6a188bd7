"""The page before the real service, with an engine that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from service.api.app import create_app
from service.core.report import Outcome
from service.runtime.settings import Settings
from tests.service.scripted import ScriptedEngine
from tests.ui import scenes
from tests.ui.fake import served


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(Outcome.REPAIRED)


@pytest.fixture
def address(tmp_path: Path, engine: ScriptedEngine) -> Iterator[str]:
    app = create_app(Settings(data_dir=tmp_path / "data"), lambda _: engine)
    with served(app) as address:
        yield address


def test_generate_repair_and_look(page: Page, engine: ScriptedEngine):
    engine.gate = threading.Event()
    page.goto("/")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    page.get_by_label("Prompt").fill("an open hand")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    engine.gate.set()
    expect(page.locator("#stage .badge")).to_have_text("Repaired")
    expect(page.locator("#stage .figure img")).to_have_count(2)
    expect(page.locator(".crop img")).to_have_count(2)
    page.get_by_label("Choose a picture to repair").set_input_files(str(scenes.HAND))
    page.get_by_role("button", name="Repair", exact=True).click()
    expect(page.locator(".history li")).to_have_count(2)
    expect(page.locator("#stage .figure img").first).to_have_js_property("naturalWidth", 256)
    page.get_by_role("button", name="Only look").click()
    expect(page.locator(".seen li")).to_have_count(2)
    page.reload()
    expect(page.locator(".history li")).to_have_count(3)


def test_a_job_is_cancelled(page: Page, engine: ScriptedEngine):
    engine.gate = threading.Event()
    page.goto("/")
    for number in range(2):
        page.get_by_label("Prompt").fill(f"hand {number}")
        page.get_by_role("button", name="Generate").click()
        expect(page.get_by_role("heading", name=f"hand {number}")).to_be_visible()
    expect(page.locator("#stage").get_by_text("Next in line")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#stage .badge")).to_have_text("Cancelled")
    engine.gate.set()


def test_a_refusal_is_shown(page: Page):
    page.goto("/")
    page.get_by_label("Prompt").fill("an open hand")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Steps").fill("999")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_contain_text("at most 200")
    expect(page.get_by_label("Steps")).to_have_attribute("aria-invalid", "true")
