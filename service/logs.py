"""What the log looks like: lines to read, or one JSON object a line; with the ids of request and job."""

from __future__ import annotations

import logging
from typing import Literal

import structlog
from structlog.types import EventDict, Processor

Format = Literal["text", "json"]


def configure_logs(form: Format, process: str) -> None:
    """Makes this process's log; called once, where a process begins.

    Args:
        form: ``text`` or ``json``.
        process: which one this is, as every line tells: ``web`` or ``worker``.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(form, process))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("service", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)


def log_formatter(form: Format, process: str) -> logging.Formatter:
    """What makes a line of a record, together with what is bound to the context it was logged in."""
    told: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
        _without_colours,
    ]
    # Tracebacks are plain in both: the prettier ones print local variables, and with them what nobody
    # should read in a log.
    renderers: list[Processor]
    if form == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=told,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _without_colours(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Uvicorn says some things twice, once in colours."""
    event.pop("color_message", None)
    return event


def _named(process: str) -> Processor:
    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name
