"""At the door: large uploads at once, a flood of JSON, foreign names and pages, lines for the log.

Each attack starts a service of its own with the simulated model and tells what came of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import httpx2 as httpx
import numpy as np
import psutil
from PIL import Image as Pillow

from bench.serving import Service

UPLOADS = 40
UPLOAD_BYTES = 18_800_000
JSON_BYTES = 40_000_000
MAX_WEB_BYTES = 900_000_000
MAX_LIVEZ_S = 0.3
PATIENCE_S = 900.0
LATER = {"Prefer": "respond-async"}
JSON = {"Content-Type": "application/json"}
FORGED = "all is well"

Row = list[object]
Result = TypeVar("Result")


def large_uploads() -> list[Row]:
    """Forty pictures of 18.8 MB with masks at once, in forms; then as base64, at the web UI's address."""
    picture, mask = noisy_png(UPLOAD_BYTES)
    size = len(picture) / 1e6
    text = base64.b64encode(picture).decode()
    body = json.dumps({"prompt": "x", "init_images": [text], "denoising_strength": 0.5}).encode()
    rows = []
    for name, send in (
        (f"{UPLOADS} uploads of {size:.1f} MB with masks of {len(mask) / 1e6:.1f} MB at once", _as_form),
        (f"the same pictures as {len(body) / 1e6:.1f} MB of JSON to img2img", _as_json),
    ):
        with _service(sync_wait_s=5) as service, _peak_of(service) as peak:
            statuses = asyncio.run(send(service.url, picture, mask, body))
        counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
        seen = f"{peak[0] / 1e6:.0f} MB ({counts})"
        rows.append(_row(name, "web process < 900 MB", seen, peak[0] < MAX_WEB_BYTES))
    return rows


def floods_of_json() -> list[Row]:
    """Forty megabytes of JSON of several shapes, while somebody asks ``/livez``."""
    long_text = b'{"prompt": "x", "init_images": ["' + b"A" * (JSON_BYTES - 40) + b'"]}'
    numbers = b'{"prompt": "x", "init_images": [' + b"0," * (JSON_BYTES // 2 - 20) + b"0]}"
    deep = b'{"prompt": "x", "init_images": ' + b"[" * (JSON_BYTES - 40)
    rows = []
    with _service() as service:
        with _slowest_livez(service) as slowest:
            time.sleep(10)
        rows.append(_row("nothing, for ten seconds", "for comparison", f"{slowest[0] * 1000:.0f} ms", True))
        for name, path, body in (
            ("one long text to txt2img", "/sdapi/v1/txt2img", long_text),
            ("one long text to img2img", "/sdapi/v1/img2img", long_text),
            ("20 million numbers to img2img", "/sdapi/v1/img2img", numbers),
            ("40 million brackets to img2img", "/sdapi/v1/img2img", deep),
        ):
            with _slowest_livez(service) as slowest, service.client() as client:
                status = client.post(path, content=body, headers=JSON, timeout=PATIENCE_S).status_code
            seen = f"{slowest[0] * 1000:.0f} ms ({status})"
            is_held = slowest[0] < MAX_LIVEZ_S and 400 <= status < 500
            rows.append(_row(f"40 MB of JSON: {name}", "/livez < 300 ms, refused", seen, is_held))
    return rows


def tricked_browsers() -> list[Row]:
    """Names and pages that are not ours, without keys."""
    own = "localhost"
    attacks: list[tuple[str, str, dict[str, str], set[int]]] = [
        ("Host: evil.example reads /jobs", "/jobs", {"Host": "evil.example"}, {403}),
        ("Host: evil.example posts", "/generate", {"Host": "evil.example"}, {403}),
        ("Origin of another site posts", "/generate", {"Origin": "http://evil.example"}, {403}),
        ("Origin of another port posts", "/generate", {"Origin": f"http://{own}:1"}, {403}),
        ("Sec-Fetch-Site: same-site posts", "/generate", {"Sec-Fetch-Site": "same-site"}, {403}),
        ("a body nested 900 deep", "/sdapi/v1/txt2img", {}, {422}),
    ]
    rows = []
    nested = '{"prompt": "x", "extra": ' + "[" * 900 + "]" * 900 + "}"
    with _service() as service, service.client() as client:
        for name, path, headers, allowed in attacks:
            method = "GET" if path == "/jobs" else "POST"
            content = nested if path.startswith("/sdapi") else '{"prompt": "x"}'
            body = content if method == "POST" else None
            status = client.request(method, path, content=body, headers=JSON | headers).status_code
            rows.append(_row(name, "refused", status, status in allowed))
        location = client.get("/jobs/", follow_redirects=False).headers.get("location")
        rows.append(_row("Location of /jobs/", "relative", location, location == "/jobs"))
    with _service(require_keys=True) as service, service.client() as client:
        status = client.get("/models", headers=[(b"Authorization", b"Basic \xe9")]).status_code
        rows.append(_row("Authorization: Basic \\xe9", "401", status, status == 401))
    return rows


def log_lines() -> Row:
    """A path that brings a line end, an escape and a line of its own."""
    with _service() as service, service.client() as client:
        client.get(f"/x%0a2026-01-01T00:00:00Z [info] {FORGED}%0d%1b%5b2J")
        time.sleep(0.2)
        lines = [line for line in service.log.read_text().split("\n") if FORGED in line]
    is_held = len(lines) == 1 and lines[0].isprintable() and "GET" in lines[0]
    return _row("%0a and ESC in a path", "one line, no ESC", f"{len(lines)} line", is_held)


def noisy_png(size_bytes: int) -> tuple[bytes, bytes]:
    """A picture of about so many bytes, since noise does not shrink, and a mask of the same size."""
    side = int((size_bytes / 3) ** 0.5)
    random = np.random.default_rng(0)
    coloured = random.integers(0, 256, (side, side, 3), np.uint8)
    return _png(coloured), _png(coloured[..., ::-1].copy())


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


async def _as_form(url: str, picture: bytes, mask: bytes, _: bytes) -> Counter[int]:
    return await _all_at_once(
        lambda client: client.post(f"{url}/repair", files={"image": picture, "mask": mask}, headers=LATER)
    )


async def _as_json(url: str, _: bytes, __: bytes, body: bytes) -> Counter[int]:
    return await _all_at_once(
        lambda client: client.post(f"{url}/sdapi/v1/img2img", content=body, headers=JSON)
    )


async def _all_at_once(send: Callable[[httpx.AsyncClient], object]) -> Counter[int]:
    limits = httpx.Limits(max_connections=UPLOADS)
    async with httpx.AsyncClient(timeout=PATIENCE_S, limits=limits) as client:
        answers = await asyncio.gather(*(send(client) for _ in range(UPLOADS)))  # type: ignore[call-overload]
    return Counter(answer.status_code for answer in answers)


@contextmanager
def _service(**settings: object) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data", **settings) as service:
        yield service


@contextmanager
def _peak_of(service: Service) -> Iterator[list[int]]:
    """The most memory that the web process had, in a list of one number."""
    assert service.process is not None
    process, peak, over = psutil.Process(service.process.pid), [0], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    yield from _beside(look, over, peak)


@contextmanager
def _slowest_livez(service: Service) -> Iterator[list[float]]:
    """The longest that ``/livez`` took, in a list of one number."""
    slowest, over = [0.0], threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not over.wait(0.02):
                began = time.perf_counter()
                client.get(f"{service.url}/livez")
                slowest[0] = max(slowest[0], time.perf_counter() - began)

    yield from _beside(ask, over, slowest)


def _beside(work: Callable[[], None], over: threading.Event, result: Result) -> Iterator[Result]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield result
    finally:
        over.set()
        thread.join()


def _row(attack: str, wanted: str, seen: object, is_held: bool) -> Row:
    return [attack, wanted, seen, "yes" if is_held else "NO"]


HEAD = ("attack", "wanted", "seen", "held")
ATTACKS: Mapping[str, Callable[[], list[Row]]] = {
    "door-uploads": large_uploads,
    "door-json": floods_of_json,
    "door-browsers": tricked_browsers,
    "door-log": lambda: [log_lines()],
}
