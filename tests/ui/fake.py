"""The service as the page sees it, scripted: jobs go on only as the test says."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from service.ui.page import install

Json = dict[str, Any]


class FakeService:
    """Answers the page. ``tell`` and ``finish`` are what a worker would do.

    Attributes:
        key: asked of every request but the page's own, if set.
        refusals: problems, one for each next POST of a job.
        posts: the jobs' requests as they came: path, fields, and files as bytes.
        streams: the Last-Event-ID of each event stream that was opened.
    """

    def __init__(self) -> None:
        self.key: str | None = None
        self.refusals: list[Json] = []
        self.posts: list[tuple[str, Json]] = []
        self.streams: list[str | None] = []
        self.feedback: list[Json] = []
        self.images: dict[str, bytes] = {}
        self.jobs: dict[str, Json] = {}
        self._events: dict[str, list[tuple[str, Json]]] = {}
        self._cuts = 0
        self._ids = itertools.count(1)

    def put(self, png: bytes) -> str:
        """Stores a picture; its address."""
        sha256 = hashlib.sha256(png).hexdigest()
        self.images[sha256] = png
        return f"/images/{sha256}"

    def new_job(self, kind: str, request: Json) -> Json:
        """A job that waits."""
        job = {
            "id": f"job-{next(self._ids)}",
            "kind": kind,
            "state": "queued",
            "created_at": _now(),
            "started_at": None,
            "finished_at": None,
            "position": 0,
            "progress": None,
            "request": request,
            "result": None,
            "problem": None,
        }
        self._events[job["id"]] = []
        self.jobs[job["id"]] = job
        return job

    def tell(self, job: Json, kind: str, data: Json) -> None:
        """One event."""
        if kind == "state":
            job.update(data)
            job["started_at"] = job["started_at"] or _now()
        self._events[job["id"]].append((kind, data))

    def finish(self, job: Json, state: str = "succeeded", **facts: Any) -> None:
        """The last event."""
        job.update(state=state, position=None, finished_at=_now(), **facts)
        self.tell(job, "done", dict(job))

    def cut(self) -> None:
        """Breaks all open event streams."""
        self._cuts += 1

    def latest(self, number: int = 1) -> Json:
        """The newest job, once there are so many."""
        until = time.monotonic() + 20
        while len(self.jobs) < number:
            assert time.monotonic() < until, "no job came"
            time.sleep(0.01)
        return list(self.jobs.values())[-1]

    async def stream(self, job: Json, after: int) -> AsyncIterator[str]:
        """The events after this one, as text."""
        cuts = self._cuts
        events = self._events[job["id"]]
        while self._cuts == cuts:
            for number, (kind, data) in enumerate(events[after:], after + 1):
                yield f": ping\r\nid: {number}\r\nevent: {kind}\r\ndata: {json.dumps(data)}\r\n\r\n"
                after = number
                if kind == "done":
                    return
            await asyncio.sleep(0.01)


def fake_app(fake: FakeService) -> FastAPI:
    """The page and the scripted service behind it."""
    app = FastAPI(openapi_url=None)
    install(app)
    _add_key(app, fake)
    _add_jobs(app, fake)
    _add_pictures(app, fake)
    _add_facts(app)
    return app


def _add_key(app: FastAPI, fake: FakeService) -> None:
    @app.middleware("http")
    async def keyed(request: Request, call_next: Any) -> Response:
        is_page = request.url.path in ("/", "/readyz") or request.url.path.startswith("/ui/")
        given = request.headers.get("authorization")
        if fake.key and not is_page and given != f"Bearer {fake.key}":
            code = "invalid_key" if given else "missing_key"
            return _problem({"status": 401, "code": code, "detail": f"{code}: send a key"})
        return await call_next(request)


def _add_jobs(app: FastAPI, fake: FakeService) -> None:
    @app.post("/{kind}")
    async def start(kind: str, request: Request) -> Response:
        assert request.headers["prefer"] == "respond-async"
        fields = await _fields(request)
        fake.posts.append((kind, fields))
        if fake.refusals:
            return _problem(fake.refusals.pop(0))
        words = fields if kind == "generate" else json.loads(fields.get("params", "{}"))
        job = fake.new_job(kind, {name: value for name, value in words.items() if name != "image"})
        return JSONResponse(job, 202, {"Location": f"/jobs/{job['id']}"})

    @app.get("/jobs")
    async def jobs(limit: int = 20, before: str | None = None) -> Json:
        newest = list(fake.jobs.values())[::-1]
        ids = [job["id"] for job in newest]
        first = ids.index(before) + 1 if before else 0
        page = newest[first : first + limit]
        return {"jobs": page, "next": page[-1]["id"] if len(newest) > first + limit else None}

    @app.get("/jobs/{job_id}")
    async def job(job_id: str) -> Response:
        if job_id not in fake.jobs:
            return _problem({"status": 404, "code": "not_found", "detail": f"no job {job_id}"})
        return JSONResponse(fake.jobs[job_id])

    @app.post("/jobs/{job_id}/cancel")
    async def cancel(job_id: str) -> Json:
        fake.finish(fake.jobs[job_id], "cancelled")
        return fake.jobs[job_id]

    @app.post("/jobs/{job_id}/retry", status_code=202)
    async def retry(job_id: str) -> Json:
        return fake.new_job(fake.jobs[job_id]["kind"], fake.jobs[job_id]["request"])

    @app.get("/jobs/{job_id}/events")
    async def events(job_id: str, request: Request) -> Response:
        last = request.headers.get("last-event-id")
        fake.streams.append(last)
        return StreamingResponse(
            fake.stream(fake.jobs[job_id], int(last or 0)), media_type="text/event-stream"
        )


def _add_pictures(app: FastAPI, fake: FakeService) -> None:
    @app.post("/images/{sha256}/feedback", status_code=201)
    async def feedback(sha256: str, body: Json) -> Json:
        fake.feedback.append({"sha256": sha256} | body)
        return body

    @app.get("/images/{sha256}")
    async def image(sha256: str) -> Response:
        return Response(fake.images[sha256], media_type="image/png")


def _add_facts(app: FastAPI) -> None:
    @app.get("/models")
    async def models() -> Json:
        defaults = {"num_inference_steps": 28, "guidance_scale": 4.0, "width": 256, "height": 256}
        names = ["hand", "malformed_hand", "limb", "malformed_limb", "person", "horse"]
        return {"models": [{"role": "generator", "defaults": defaults}], "class_names": names}

    @app.get("/readyz")
    async def readyz() -> Json:
        return {"status": "ready"}


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serves an application in a thread; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


async def _fields(request: Request) -> Json:
    if request.headers["content-type"].startswith("application/json"):
        return dict(await request.json())
    form = await request.form()
    return {name: value if isinstance(value, str) else await value.read() for name, value in form.items()}


def _problem(facts: Json) -> Response:
    return JSONResponse(facts, facts["status"], media_type="application/problem+json")


def _now() -> str:
    return datetime.now(UTC).isoformat()
