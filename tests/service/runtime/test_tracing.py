from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.core.errors import InvalidSettings
from service.runtime.settings import Settings
from service.runtime.tracing import tracer_provider
from tests.service.live import until_ready
from tests.service.scripted import ScriptedEngine


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """An address to send traces to, and what came there."""
    came: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_and_its_job_can_be_found_by_the_jobs_id(
    collector: tuple[str, list[tuple[str, bytes]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    url, came = collector
    settings = Settings(data_dir=tmp_path, otlp_endpoint=url)
    worker = tracer_provider(settings, "worker")
    assert worker is not None
    monkeypatch.setattr("service.jobs.worker.trace.get_tracer", worker.get_tracer)
    with TestClient(create_app(settings, lambda _: ScriptedEngine()), "http://localhost") as client:
        until_ready(client)
        done = client.post("/generate", json={"prompt": "a secret wish", "seed": 1})
        assert done.status_code == 200
    worker.shutdown()
    assert {path for path, _ in came} == {"/v1/traces"}
    spans = b"".join(body for _, body in came)
    assert b"POST /generate" in spans
    assert b"job generate" in spans
    assert b"anatomend-web" in spans
    assert b"anatomend-worker" in spans
    assert spans.count(done.headers["x-anatomend-job"].encode()) == 2
    assert b"a secret wish" not in spans


def test_without_the_setting_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert tracer_provider(Settings(), "web") is None
    with pytest.raises(InvalidSettings) as caught:
        tracer_provider(Settings(otlp_endpoint="http://127.0.0.1:1"), "web")
    assert "anatomend[tracing]" in str(caught.value.allowed)


@pytest.mark.parametrize("endpoint", ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"])
def test_the_path_may_be_left_out(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    from opentelemetry.exporter.otlp.proto.http import trace_exporter

    monkeypatch.setattr(trace_exporter.OTLPSpanExporter, "__init__", lambda _, url: asked.append(url))
    monkeypatch.setattr(trace_exporter.OTLPSpanExporter, "shutdown", lambda _: None)
    provider = tracer_provider(Settings(otlp_endpoint=endpoint), "web")
    assert provider is not None
    provider.shutdown()
    assert asked == ["http://c:4318/v1/traces"]
