"""``anatomend serve``: runs the service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any

import typer

from service.cli.connections import impatient
from service.database.connect import Database
from service.keys.binding import check_bind
from service.runtime.logs import configure_logs
from service.runtime.private_files import is_seen_by_others
from service.runtime.settings import Settings, read_settings, unknown_variables

_GRACE_S = 30
"""Seconds that a running request may take to end when the service is stopped."""

_log = logging.getLogger(__name__)


def serve(
    host: Annotated[
        str, typer.Option(envvar="HOST", help="0.0.0.0 to be reached from elsewhere.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535)] = 8000,
) -> None:
    """Run the service."""
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    from service.api.app import create_app

    def stop() -> None:
        server.should_exit = True

    settings = read_settings()
    configure_logs(settings.log_format, "web")
    for name in unknown_variables():
        _log.warning("%s is no setting: anatomend config lists them", name)
    _check_database(settings)
    check_bind(host, settings)
    if is_seen_by_others(settings.data_dir):
        _log.warning("others on this machine may look into %s: chmod -R go= closes it", settings.data_dir)
    application = create_app(settings, on_failure=stop)
    job_service = application.state.context.job_service
    server = _drained(uvicorn.Server)(
        uvicorn.Config(
            application,
            host,
            port,
            http=impatient(AutoHTTPProtocol),
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            log_config=None,
            access_log=False,  # the service logs its requests itself, with their ids and without queries
        ),
        job_service.drain,
    )
    server.run()
    failure = job_service.failure
    if failure is not None:
        raise failure


def _check_database(settings: Settings) -> None:
    """Migrates the tables, and finds damage before the first request.

    Raises:
        DatabaseUnavailable: caught by the command line, where uvicorn would print a traceback.
    """
    database = Database.of(settings)
    try:
        database.check()
        database.migrate()
    finally:
        database.close()


def _drained(server: type[Any]) -> type[Any]:
    """Returns a server class that first answers waiting requests on a stop; uvicorn would wait for them."""

    class Drained(server):  # type: ignore[misc]
        def __init__(self, config: Any, drain: Callable[[], None]) -> None:
            super().__init__(config)
            self._drain = drain

        def handle_exit(self, sig: int, frame: Any) -> None:
            self._drain()
            super().handle_exit(sig, frame)

    return Drained
