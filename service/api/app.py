"""Puts the service together. ``uvicorn --factory service.api.app:create_app`` runs it too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import anyio.to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.api import problems
from service.api.guard import Guard
from service.api.host import EngineHost, LoadEngine, load_engine
from service.api.routes import Context, form_routes, json_routes, plain_routes
from service.quiet import quiet
from service.settings import Settings, read_settings
from service.store.images import ImageStore

_FORM_EXTRA_BYTES = 1 << 20
"""For the fields and boundaries of a form beside its two files."""


def create_app(
    settings: Settings | None = None,
    load: LoadEngine = load_engine,
    on_failure: Callable[[], None] | None = None,
) -> FastAPI:
    """The application. It answers ``/livez`` at once and loads its models beside that.

    Args:
        settings: read from the environment if left out.
        load: makes the engine; called in the engine's own thread.
        on_failure: told, in that thread, if the engine could not be made.

    Raises:
        InvalidSettings: if the environment asks for something that cannot be.
    """
    settings = settings if settings is not None else read_settings()
    quiet(settings)
    host = EngineHost(settings, load, on_failure)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        host.start()
        yield
        # In a thread: the running call may take seconds to end, and other shutdown work need not wait for it.
        await anyio.to_thread.run_sync(host.stop)

    app = FastAPIOffline(
        redoc_url=None,
        title="Anatomend",
        version=_version(),
        summary="Generates pictures, finds malformed hands and limbs in them, and repairs only those places.",
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        lifespan=lifespan,
    )
    app.state.context = Context(settings, host, ImageStore(settings.data_dir / "images"))
    for routes in (json_routes, form_routes, plain_routes):
        app.include_router(routes)
    problems.install(app)
    app.add_middleware(Guard, max_form_bytes=2 * settings.max_upload_mb * 1_000_000 + _FORM_EXTRA_BYTES)
    return app


def _version() -> str:
    try:
        return version("anatomend")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0+unknown"
