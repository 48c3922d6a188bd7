"""A browser and the page in it, with a scripted service behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

IN_CI = bool(os.environ.get("CI"))
if IN_CI:  # where nothing may go untested
    import playwright.sync_api as playwright
else:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.ui.fake import FakeService, fake_app, served  # noqa: E402

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",  # which chromium cannot set up for root, as whom containers run tests
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
"""The machine may be busy; a test that passes waits for nothing of this."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[playwright.Browser]:
    """Debian's own browser; it ends with the last test here, since its loop would be in the way of others."""
    if not CHROMIUM.exists():
        missing = f"no browser at {CHROMIUM}: `make browser` installs Debian's chromium to test the page"
        pytest.fail(missing) if IN_CI else pytest.skip(missing)
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.fixture
def address(fake: FakeService) -> Iterator[str]:
    with served(fake_app(fake)) as address:
        yield address


@pytest.fixture
def page(chromium: playwright.Browser, address: str) -> Iterator[playwright.Page]:
    """The page at desktop width. Whatever the browser complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
    yield page
    context.close()
    assert not complaints


def _is_complaint(message: playwright.ConsoleMessage) -> bool:
    # The browser itself tells of every answer that is not ok; those are on purpose.
    return message.type == "error" and "Failed to load resource" not in message.text
