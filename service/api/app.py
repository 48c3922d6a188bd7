"""Builds the application. ``uvicorn --factory service.api.app:create_app`` runs it too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import anyio
import anyio.to_thread
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from service.api import problems
from service.api.context import Context
from service.api.metrics import Metrics
from service.api.middleware.auth import Auth
from service.api.middleware.body_limits import BodyLimits
from service.api.middleware.guard import Guard
from service.api.middleware.request_log import RequestLog
from service.api.openai.errors import OpenAIErrors
from service.api.openai.routes import openai_form_routes, openai_json_routes, openai_plain_routes
from service.api.routes.health import health_routes
from service.api.routes.jobs import job_routes
from service.api.routes.metrics import metric_routes
from service.api.routes.pictures import form_routes, json_routes, plain_routes
from service.api.sdapi.routes import sdapi_json_routes, sdapi_plain_routes
from service.engine.protocol import LoadEngine
from service.images.decode import UploadLimits
from service.jobs.executors import Executor, InlineExecutor, ProcessExecutor
from service.jobs.housekeeping import Housekeeping, keep_house
from service.jobs.inbox import Inbox
from service.jobs.job_service import JobService
from service.keys.ring import KeyRing
from service.runtime.library_env import set_library_env
from service.runtime.settings import Settings, read_settings
from service.runtime.tracing import tracer_provider
from service.store.open_store import stores_of
from service.ui import page

_NO_OTHER_TELEMETRY: TelemetryConfig = {
    "metrics": False,  # Prometheus collects them
    "logs": False,  # they go to the usual log
    "operation_spans": False,
    "auto_configure": False,  # nothing is sent anywhere without our own setting
}
_ASKED_HEADERS = ("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "Prefer", "Last-Event-ID")
_TOLD_HEADERS = ("Location", "Retry-After", "X-Request-ID", "X-Anatomend-Job", "X-Anatomend-Id")
"""Request and response headers that are open to allowed pages of other sites."""


def create_app(
    settings: Settings | None = None,
    load: LoadEngine | None = None,
    on_failure: Callable[[], None] | None = None,
) -> FastAPI:
    """Returns the application. It answers ``/livez`` at once, while its worker loads the models.

    Args:
        settings: read from the environment if left out.
        load: builds the engine, in a thread of this process; if left out, a process of its own loads the
            models that the settings name.
        on_failure: called if the engine could not be built.

    Raises:
        InvalidSettings: if the environment holds an invalid setting.
    """
    settings = settings if settings is not None else read_settings()
    set_library_env(settings)
    executor: Executor = ProcessExecutor(settings) if load is None else InlineExecutor(settings, load)
    job_service = JobService(settings, executor, on_failure)
    spans = tracer_provider(settings, "web")
    stores = stores_of(settings.store_url, settings.data_dir)
    keeping = Housekeeping(settings, job_service.database, *stores)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await job_service.start()
        async with anyio.create_task_group() as chores:
            if keeping.is_wanted:
                chores.start_soon(keep_house, keeping)
            yield
            chores.cancel_scope.cancel()
        await job_service.stop()
        if spans is not None:
            await anyio.to_thread.run_sync(spans.shutdown)

    app = FastAPIOffline(
        redoc_url=None,
        title="Anatomend",
        version=_version(),
        summary="Generates pictures, finds malformed hands and limbs in them, and repairs only those places.",
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        lifespan=lifespan,
        telemetry={"tracing": spans is not None, "tracer_provider": spans, **_NO_OTHER_TELEMETRY},
    )
    app.state.context = Context(settings, job_service, *stores, Inbox(stores[1], job_service.database))
    app.state.metrics = Metrics(job_service, app.version)
    for routes in (json_routes, form_routes, plain_routes, health_routes, job_routes, metric_routes):
        app.include_router(routes)
    for routes in (openai_json_routes, openai_form_routes, openai_plain_routes):
        app.include_router(routes)
    for routes in (sdapi_json_routes, sdapi_plain_routes):
        app.include_router(routes)
    page.install(app)
    problems.install(app)
    _add_layers(app, settings, KeyRing(job_service.database, settings.require_keys), app.state.metrics)
    return app


def _add_layers(app: FastAPI, settings: Settings, ring: KeyRing, metrics: Metrics) -> None:
    """Adds the middleware; the layer that is added last sees a request first."""
    origins = settings.allowed_origins
    app.add_middleware(Auth, ring=ring, allowed_origins=origins, allowed_hosts=settings.host_names)
    if origins:  # outside of Auth: a browser's preflight request carries no key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=_ASKED_HEADERS,
            expose_headers=_TOLD_HEADERS,
        )
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(
        Guard,
        limits=BodyLimits(UploadLimits.of(settings).max_bytes),
        is_shared=bool(origins),
    )
    app.add_middleware(OpenAIErrors)  # outermost, to translate the refusals of all layers


def _version() -> str:
    try:
        return version("anatomend")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"
