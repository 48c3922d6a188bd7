"""The page's own files: what serves them, and what they may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.ui.page import install

UI = Path(__file__).resolve().parents[2] / "service" / "ui"


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    install(app)
    return TestClient(app)


def test_the_page_is_at_the_root_and_asks_no_other_host(client: TestClient):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_every_file_that_the_page_names_is_there(client: TestClient):
    named = re.findall(r'(?:href|src)="(ui/[^"]+)"', client.get("/").text)
    assert len(named) > 5
    for path in named:
        assert client.get(f"/{path}").status_code == 200, path


def test_every_module_that_is_imported_is_there():
    for module in UI.rglob("*.js"):
        for name in re.findall(r'(?:from|import)\s*"(\.[^"]+)"', module.read_text(encoding="utf-8")):
            assert (module.parent / name).exists(), f"{module.name} imports {name}"


def test_no_inline_script_or_style():
    html = (UI / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", html)


def test_vendored_files_are_kept_for_ever_and_ours_asked_for_again(client: TestClient):
    ours = client.get("/ui/js/main.js")
    assert ours.headers["cache-control"] == "no-cache"
    again = client.get("/ui/js/main.js", headers={"If-None-Match": ours.headers["etag"]})
    assert again.status_code == 304
    vendored = client.get("/ui/vendor/lit-html-3.3.3/lit-html.js")
    assert "immutable" in vendored.headers["cache-control"]


@pytest.mark.parametrize("path", ["page.py", "__init__.py", "", "js", "../page.py", "%2e%2e/engine.py"])
def test_only_the_page_is_served(client: TestClient, path: str):
    assert client.get(f"/ui/{path}").status_code == 404


def test_each_vendored_package_brings_its_licence():
    folders = [path for path in (UI / "vendor").iterdir() if path.is_dir()]
    assert folders
    assert all((folder / "LICENSE").is_file() for folder in folders)
