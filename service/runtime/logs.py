"""The format of the log: plain lines, or one JSON object per line; with the ids of request and job."""

from __future__ import annotations

import logging
import traceback
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, ExcInfo, Processor

Format = Literal["text", "json"]


def configure_logs(form: Format, process: str) -> None:
    """Configures this process's log; called once at the start of a process.

    Args:
        form: ``text`` or ``json``.
        process: the name of the process in every line: ``web`` or ``worker``.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter(form, process))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("service", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)


def log_formatter(form: Format, process: str) -> logging.Formatter:
    """Returns a formatter for records, with the values bound to the context of the call."""
    told: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
        _without_colours,
    ]
    # Tracebacks are plain in both: the rich ones print local variables, and with them secrets.
    renderers: list[Processor]
    if form == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:
        renderers = [
            _in_one_line,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=_indented, pad_event_to=0),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=told,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _without_colours(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Removes uvicorn's second, coloured copy of a message."""
    event.pop("color_message", None)
    return event


def _in_one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escapes line ends and control characters: a client's text must not begin lines or move the cursor.

    JSON escapes them itself.
    """
    return {
        name: printable(value.rstrip()) if isinstance(value, str) else value for name, value in event.items()
    }


def printable(text: str) -> str:
    """Escapes each invisible character, line ends included."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _indented(stream: TextIO, failure: ExcInfo) -> None:
    """Indents a traceback, so that none of its lines looks like a line of the log."""
    for line in "".join(traceback.format_exception(*failure)).splitlines():
        stream.write(f"\n    {printable(line)}")


def _named(process: str) -> Processor:
    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name
