"""That everybody can use the page: by keys, on a phone, in light and dark, with a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.ui import scenes
from tests.ui.fake import FakeService

PHONE = {"width": 390, "height": 844}
GRAVE = {"serious", "critical"}


@pytest.fixture
def open_in(chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a context of its own."""
    contexts = []

    def opened(**options: Any) -> Page:
        contexts.append(chromium.new_context(base_url=address, **options))
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()


def scenery(page: Page, fake: FakeService) -> Iterator[str]:
    """Leads the page through its states; tells the name of each."""
    job = fake.new_job("repair", {"prompt": "an open hand", "seed": 7})
    fake.finish(job, result=scenes.repaired(fake))
    page.goto("/")
    expect(page.locator(".history li")).to_have_count(1)
    yield "welcome"
    page.goto(f"/#/jobs/{job['id']}")
    page.get_by_text("5 attempts").click()
    page.locator(".region").first.get_by_role("button", name="Mask").click()
    yield "finished"
    page.goto("/#/")
    page.get_by_label("Choose a picture to repair").set_input_files(str(scenes.HAND))
    page.get_by_role("button", name="Mark by hand").click()
    page.get_by_text("Options", exact=True).click()
    page.get_by_text("Repair settings").click()
    expect(page.get_by_role("group", name="Only these").get_by_label("Malformed hand")).to_be_visible()
    yield "brush"
    page.get_by_role("button", name="Only look").click()
    fake.finish(fake.latest(2), result=scenes.detections(fake))
    expect(page.locator(".seen li")).to_have_count(2)
    yield "detect"
    fake.refusals.append({"status": 422, "code": "too_much", "detail": "too much", "allowed": [1, 8]})
    page.get_by_role("button", name="Repair", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Repair", exact=True).click()
    running = fake.latest(3)
    fake.tell(running, "state", {"state": "running", "position": None})
    fake.tell(running, "progress", {"phase": "repair", "done": 1, "total": 4})
    region = {"class_name": "malformed_hand", "xyxy": scenes.HAND_BOX, "conf": 0.91}
    fake.tell(running, "regions", {"picture": 0, "regions": [region]})
    fake.tell(running, "attempt", {"picture": 0, "region": 0} | scenes.SEAM)
    expect(page.get_by_role("row")).to_have_count(2)
    yield "running"


def test_a_phone_needs_no_sideways_scrolling(open_in: Callable[..., Page], fake: FakeService):
    page = open_in(viewport=PHONE, has_touch=True, is_mobile=True)
    for name in scenery(page, fake):
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], name
    # What was asked for has come into sight below the form.
    top = page.locator("#stage").evaluate("stage => stage.getBoundingClientRect().top")
    assert top < PHONE["height"] / 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_grave(open_in: Callable[..., Page], fake: FakeService, theme: str):
    page = open_in(viewport={"width": 1280, "height": 900}, color_scheme=theme)
    for name in scenery(page, fake):
        grave = [item for item in Axe().run(page).response["violations"] if item["impact"] in GRAVE]
        assert not grave, (name, [(item["id"], item["nodes"][0]["html"][:200]) for item in grave])
    fake.key = "secret"
    page.reload()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert not [item for item in Axe().run(page).response["violations"] if item["impact"] in GRAVE]


def test_all_can_be_done_by_keys(open_in: Callable[..., Page], fake: FakeService):
    page = open_in(viewport={"width": 1280, "height": 900})
    page.goto("/")
    tab_to(page, "Prompt")
    page.keyboard.type("an open hand")
    tab_to(page, "Generate")
    page.keyboard.press("Enter")
    fake.finish(fake.latest(), result=scenes.repaired(fake))
    slider = page.get_by_role("slider", name="Before on the left")
    expect(slider).to_be_visible()
    tab_to(page, "Boxes")
    page.keyboard.press("Space")
    expect(page.locator(".box")).to_have_count(0)
    page.keyboard.press("Space")
    tab_to(page, "Malformed hand 0.91 → 0.07: show its details")
    page.keyboard.press("Enter")
    expect(page.locator("#region-0")).to_be_focused()
    tab_to(page, "Still wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Still wrong").first).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name="Accepted")).to_be_visible()
    assert fake.feedback


def test_ctrl_enter_sends_from_the_prompt(open_in: Callable[..., Page], fake: FakeService):
    page = open_in()
    page.goto("/")
    page.get_by_label("Prompt").fill("an open hand")
    page.keyboard.press("Control+Enter")
    assert fake.latest()["request"]["prompt"] == "an open hand"


def test_the_chosen_theme_is_kept(open_in: Callable[..., Page]):
    page = open_in(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Use dark colours").click()
    page.reload()
    expect(page.get_by_role("button", name="Use light colours")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 20, 21)"


NAME_OF_FOCUS = """() => {
  const it = document.activeElement;
  return it.getAttribute("aria-label") ?? it.labels?.[0]?.innerText ?? it.innerText;
}"""


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element of this name has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(NAME_OF_FOCUS).strip() == name:
            return
    raise AssertionError(f"Tab does not reach {name}")
