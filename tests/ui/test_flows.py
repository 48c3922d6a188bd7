"""Tests what people do on the page, in a real browser, at desktop width."""

from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.ui import scenes
from tests.ui.fake import FakeService


def generate(page: Page, fake: FakeService, prompt: str = "an open hand") -> dict[str, Any]:
    """Sends the form; the job that comes of it, at work."""
    page.goto("/")
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Generate").click()
    job = fake.latest()
    fake.tell(job, "state", {"state": "running", "position": None})
    return job


def opened(page: Page, fake: FakeService, result: dict[str, Any], kind: str = "generate") -> dict[str, Any]:
    """A finished job, open on the page."""
    job = fake.new_job(kind, {"prompt": "an open hand", "seed": 7})
    fake.tell(job, "state", {"state": "running", "position": None})
    fake.finish(job, result=result)
    page.goto(f"/#/jobs/{job['id']}")
    return job


def attach(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Choose a picture to repair").set_input_files(str(scenes.HAND))


def test_generate_shows_the_way_and_the_end(page: Page, fake: FakeService):
    page.goto("/")
    page.get_by_label("Prompt").fill("an open hand")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Steps").fill("12")
    page.get_by_label("Seed", exact=True).fill("7")
    page.get_by_role("button", name="Generate").click()
    job = fake.latest()
    assert fake.posts == [
        ("generate", {"prompt": "an open hand", "seed": 7, "num_inference_steps": 12, "repair": {}})
    ]
    fake.tell(job, "state", {"state": "queued", "position": 3})
    stage = page.locator("#stage")
    expect(stage.get_by_text("3 ahead of you")).to_be_visible()
    fake.tell(job, "state", {"state": "queued"})  # the kept event, which knows no place
    fake.tell(job, "progress", {"phase": "generate", "done": 0, "total": 12})
    expect(stage.get_by_text("3 ahead of you")).to_be_visible()
    fake.tell(job, "state", {"state": "running", "position": None})
    fake.tell(job, "progress", {"phase": "generate", "done": 5, "total": 12})
    fake.tell(job, "preview", {"image": scenes.preview(scenes.HAND, 3), "step": 5})
    expect(stage.get_by_text("5 of 12")).to_be_visible()
    expect(stage.get_by_role("img", name="The picture so far")).to_have_js_property("naturalWidth", 128)
    region = {"class_name": "malformed_hand", "xyxy": scenes.HAND_BOX, "conf": 0.91}
    fake.tell(job, "regions", {"picture": 0, "regions": [region]})
    expect(page.locator(".box")).to_have_text("Malformed hand 0.91")
    for attempt in (scenes.SEAM, scenes.ACCEPTED):
        fake.tell(job, "attempt", {"picture": 0, "region": 0} | attempt)
    expect(stage.get_by_role("row", name="Visible seam redraw 0.55 0.21 0.17 2.31 3814")).to_be_visible()
    expect(page.locator(".box[data-tone=mended]")).to_be_visible()
    fake.finish(job, result=scenes.repaired(fake))
    expect(stage.get_by_text("Partly repaired")).to_be_visible()
    expect(page.get_by_role("slider", name="Before on the left")).to_be_visible()
    expect(page).to_have_url(f"{page.url.split('#')[0]}#/jobs/{job['id']}")
    expect(page.get_by_label("Prompt")).to_have_value("an open hand")


def test_watching_nudging_and_heat_maps_can_be_asked_for(page: Page, fake: FakeService):
    page.goto("/")
    page.get_by_label("Prompt").fill("an open hand")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Best of").fill("2")
    expect(page.get_by_label("First sample a single bad place again")).to_have_count(0)
    page.get_by_label("Watch it being made").check()
    page.get_by_label("First sample a single bad place again").check()
    page.get_by_text("Repair settings", exact=True).click()
    page.get_by_label("Also try bent by the detector’s gradient").check()
    page.get_by_label("Redraw by heat map, not by box").check()
    page.reload()  # what was chosen is kept
    page.get_by_role("button", name="Generate").click()
    job = fake.latest()
    assert fake.posts == [
        (
            "generate",
            {
                "prompt": "an open hand",
                "best_of": 2,
                "watch": {"in_flight": True},
                "repair": {"methods": ["redraw", "nudge"], "mask_source": "heatmap"},
            },
        )
    ]
    result = scenes.repaired(fake)
    result["images"][0]["sampling"] = {"runs": [{"end": "aborted"}, {"end": "finished"}, {"end": "finished"}]}
    fake.finish(job, result=result)
    expect(page.locator("#stage").get_by_text("3 runs, 1 stopped early")).to_be_visible()


def test_a_broken_stream_goes_on_where_it_was(page: Page, fake: FakeService):
    job = generate(page, fake)
    fake.tell(job, "progress", {"phase": "generate", "done": 1, "total": 9})
    expect(page.get_by_text("1 of 9")).to_be_visible()
    fake.cut()
    fake.tell(job, "progress", {"phase": "generate", "done": 8, "total": 9})
    expect(page.get_by_text("8 of 9")).to_be_visible()
    assert fake.streams == [None, "2"]


def test_cancel_and_try_again(page: Page, fake: FakeService):
    generate(page, fake)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#stage .badge")).to_have_text("Cancelled")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    assert [job["state"] for job in fake.jobs.values()] == ["cancelled", "queued"]


def test_a_painted_place_is_sent_as_a_mask(page: Page, fake: FakeService):
    attach(page)
    page.get_by_role("button", name="Mark by hand").click()
    canvas = page.get_by_label("Picture to paint on")
    expect(canvas).to_have_js_property("width", 256)
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Erase").click()
    canvas.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.5})
    page.get_by_label("What the picture shows").fill("a hand")
    page.get_by_role("button", name="Repair", exact=True).click()
    fake.latest()
    path, fields = fake.posts[0]
    assert path == "repair"
    assert fields["image"] == scenes.HAND.read_bytes()
    assert json.loads(fields["params"]) == {"prompt": "a hand"}
    mask = np.asarray(Image.open(BytesIO(fields["mask"])).convert("L"))
    assert mask.shape == (256, 256)
    assert mask[128, 128] == mask[128, 190] == 255
    assert mask[128, 64] == mask[10, 10] == mask[200, 128] == 0


def test_the_brush_can_be_used_by_keys_and_cleared(page: Page, fake: FakeService):
    attach(page)
    page.get_by_role("button", name="Mark by hand").click()
    page.get_by_label("Picture to paint on").press("Space")
    for key in ("Shift+ArrowRight", "]", "Shift+ArrowDown", "e"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Erase")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.querySelector('mask-brush').isEmpty") is False
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Repair", exact=True).click()
    fake.latest()
    assert "mask" not in fake.posts[0][1]


def test_a_picture_can_be_dropped_and_pasted(page: Page, fake: FakeService):
    page.goto("/")
    data = page.evaluate_handle(
        "bytes => { const data = new DataTransfer();"
        "data.items.add(new File([new Uint8Array(bytes)], 'hand.png', {type: 'image/png'})); return data }",
        list(scenes.HAND.read_bytes()),
    )
    picture = page.get_by_role("heading", name="Your picture")
    page.dispatch_event("body", "drop", {"dataTransfer": data})
    expect(picture).to_be_visible()
    page.get_by_role("button", name="Take the picture away").click()
    expect(picture).to_be_hidden()
    page.evaluate("data => window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))", data)
    expect(picture).to_be_visible()


def test_looking_only_tells_what_is_seen_and_where_the_score_is_from(page: Page, fake: FakeService):
    attach(page)
    page.get_by_role("button", name="Only look").click()
    fake.finish(fake.latest(), result=scenes.detections(fake))
    assert fake.posts[0][1]["heatmap"] == "true"
    expect(page.locator(".box")).to_have_count(2)
    page.locator(".seen").get_by_role("button", name="Box").first.click()
    expect(page.locator(".box")).to_have_text(["Hand 0.30"])
    page.get_by_role("button", name="Heat map").click()
    expect(page.locator(".heat img")).to_have_js_property("naturalWidth", 256)


def test_no_heat_map_where_the_service_has_none(page: Page, fake: FakeService):
    error = {"parameter": "heatmap", "code": "unknown_parameter", "message": "not known", "allowed": ["conf"]}
    fake.refusals.append({"status": 422, "code": "unknown_parameter", "detail": "heatmap", "errors": [error]})
    attach(page)
    page.get_by_role("button", name="Only look").click()
    fake.finish(fake.latest(), result=scenes.detections(fake, heatmap=False))
    expect(page.locator(".box")).to_have_count(2)
    expect(page.get_by_role("button", name="Heat map")).to_have_count(0)


def test_boxes_and_masks_can_be_switched(page: Page, fake: FakeService):
    opened(page, fake, scenes.repaired(fake))
    expect(page.locator(".box")).to_have_text(["Malformed limb 0.44", "Malformed hand 0.91 → 0.07"])
    hand = page.locator(".region", has_text="Malformed hand")
    hand.get_by_role("button", name="Box").click()
    expect(page.locator(".box")).to_have_text(["Malformed limb 0.44"])
    hand.get_by_role("button", name="Mask").click()
    expect(page.locator(".figure .mask")).to_have_attribute("style", re.compile("blob:"))
    page.get_by_role("button", name="Boxes").click()
    expect(page.locator(".box")).to_have_count(0)


def test_before_and_after(page: Page, fake: FakeService):
    opened(page, fake, scenes.repaired(fake))
    slider = page.get_by_role("slider", name="Before on the left")
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + 40)
    expect(slider).to_have_attribute("aria-valuenow", "80")
    slider.press("ArrowLeft", delay=300)
    expect(slider).not_to_have_attribute("aria-valuenow", "80")
    page.get_by_role("button", name="Before", exact=True).click()
    expect(slider).to_have_count(0)
    expect(page.locator(".box").last).to_have_text("Malformed hand 0.91")


def test_every_attempt_is_told(page: Page, fake: FakeService):
    opened(page, fake, scenes.repaired(fake))
    page.get_by_text("5 attempts").click()
    rows = page.locator(".region").first.get_by_role("row")
    expect(rows).to_have_count(6)
    expect(rows.last).to_have_text(
        re.compile(r"\s+".join(["", "Accepted", "redraw", "0.75", "0.07", "–", "1.04", "3818", ""]))
    )


def test_people_can_say_whether_it_helped(page: Page, fake: FakeService):
    job = opened(page, fake, scenes.repaired(fake))
    wrong = page.locator(".region").nth(1).get_by_role("button", name="Still wrong")
    wrong.click()
    expect(wrong).to_have_attribute("aria-pressed", "true")
    sha256 = job["result"]["images"][0]["sha256"]
    assert fake.feedback == [{"sha256": sha256, "region": 1, "verdict": "still_wrong"}]
    page.reload()
    expect(wrong).to_have_attribute("aria-pressed", "true")


def test_history_and_the_open_job_survive_a_reload(page: Page, fake: FakeService):
    job = generate(page, fake, "a hand that waves")
    fake.finish(job, result=scenes.clean(fake))
    expect(page.get_by_text("Nothing malformed was found")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="a hand that waves")).to_be_visible()
    expect(page.get_by_label("Prompt")).to_have_value("a hand that waves")
    entry = page.get_by_role("link", name="a hand that waves")
    expect(entry).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Anatomend, start page").click()
    expect(page.get_by_role("heading", name="Hands with five fingers")).to_be_visible()
    entry.click()
    expect(page.get_by_text("Nothing malformed was found")).to_be_visible()


def test_older_jobs_are_fetched_on_demand(page: Page, fake: FakeService):
    for number in range(25):
        fake.finish(fake.new_job("generate", {"prompt": f"hand {number}"}), "cancelled")
    page.goto("/")
    entries = page.locator(".history li")
    expect(entries).to_have_count(20)
    page.get_by_role("button", name="Earlier ones").click()
    expect(entries).to_have_count(25)
    expect(page.get_by_role("button", name="Earlier ones")).to_have_count(0)


def test_an_address_can_be_shared_and_things_taken_away(page: Page, fake: FakeService):
    job = opened(page, fake, scenes.repaired(fake))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    with page.expect_download() as picture:
        page.get_by_role("button", name="Picture", exact=True).click()
    assert picture.value.path().read_bytes() == scenes.five_fingers()
    with page.expect_download() as report:
        page.get_by_role("button", name="Report").click()
    told = json.loads(report.value.path().read_text())
    assert told["result"]["images"] == json.loads(json.dumps(job["result"]["images"]))


def test_a_finished_picture_can_be_marked_by_hand(page: Page, fake: FakeService):
    opened(page, fake, scenes.unrepaired(fake))
    page.get_by_role("button", name="Mark by hand").click()
    expect(page.get_by_label("Picture to paint on")).to_have_js_property("width", 256)
    expect(page.get_by_label("What the picture shows")).to_have_value("an open hand")


def test_what_was_not_looked_at_and_what_had_no_effect_is_told(page: Page, fake: FakeService):
    opened(page, fake, scenes.nothing_asked(fake))
    expect(page.locator(".badge")).to_have_text("Nothing asked for")
    expect(page.get_by_text("Left as they were: 1 by skip.")).to_be_visible()
    expect(page.get_by_text("Nothing malformed was found")).to_have_count(0)
    expect(page.get_by_role("region", name="Had no effect").get_by_text("mask_threshold")).to_be_visible()


def test_a_refusal_says_what_is_allowed_and_keeps_what_was_typed(page: Page, fake: FakeService):
    limits = {"type": "integer", "minimum": 1, "maximum": 200}
    error = {"parameter": "num_inference_steps", "code": "invalid_parameter", "message": "too many"}
    problem = {"status": 422, "code": "invalid_parameter", "detail": "num_inference_steps: too many"}
    fake.refusals.append(problem | {"allowed": limits, "errors": [error | {"allowed": limits}]})
    page.goto("/")
    page.get_by_label("Prompt").fill("an open hand")
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Steps").fill("many")
    page.get_by_role("button", name="Generate").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("a whole number, at least 1, at most 200")
    assert fake.posts[0][1]["num_inference_steps"] == "many"
    expect(page.get_by_label("Prompt")).to_have_value("an open hand")
    expect(page.get_by_label("Steps")).to_have_value("many")
    expect(page.get_by_label("Steps")).to_have_attribute("aria-invalid", "true")


def test_a_failed_job_says_why(page: Page, fake: FakeService):
    job = generate(page, fake)
    fake.finish(job, "failed", problem={"code": "worker_lost", "detail": "the worker died three times"})
    expect(page.locator("#stage .badge")).to_have_text("Failed")
    expect(page.get_by_role("alert")).to_contain_text("the worker died three times")


def test_an_unknown_job_says_so(page: Page, fake: FakeService):
    page.goto("/#/jobs/nowhere")
    expect(page.get_by_role("alert")).to_contain_text("no job nowhere")


def test_a_key_is_asked_for_kept_and_sent(page: Page, fake: FakeService):
    job = fake.new_job("generate", {"prompt": "an open hand"})
    fake.finish(job, result=scenes.clean(fake))
    fake.key = "secret"
    page.goto(f"/#/jobs/{job['id']}")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("API key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("invalid_key")
    dialog.get_by_label("API key").fill("secret")
    dialog.get_by_label("API key").press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#stage .figure img")).to_have_js_property("naturalWidth", 256)
    page.get_by_label("Prompt").fill("another hand")
    page.get_by_role("button", name="Generate").click()
    running = fake.latest(2)
    fake.tell(running, "progress", {"phase": "detect", "done": 1, "total": 2})
    fake.tell(running, "state", {"state": "running", "position": None})
    expect(page.get_by_text("1 of 2")).to_be_visible()
    page.get_by_role("button", name="Forget the API key").click()
    expect(dialog).to_be_visible()


def test_the_key_dialog_can_be_put_off(page: Page, fake: FakeService):
    fake.key = "secret"
    page.goto("/")
    page.get_by_role("dialog").get_by_role("button", name="Not now").click()
    expect(page.locator(".history").get_by_role("alert")).to_contain_text("missing_key")
