"""What the log looks like: lines to read, or one JSON object a line; with the ids of request and job."""

from __future__ import annotations

import logging
import traceback
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, ExcInfo, Processor

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
            _in_one_line,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=_indented, pad_event_to=0),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=told,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def _without_colours(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Uvicorn says some things twice, once in colours."""
    event.pop("color_message", None)
    return event


def _in_one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What somebody sends, in an address say, must neither begin lines nor move a terminal's cursor.

    JSON needs no such care: it has escapes for them.
    """
    return {
        name: printable(value.rstrip()) if isinstance(value, str) else value for name, value in event.items()
    }


def printable(text: str) -> str:
    """The text with an escape for each character that is not seen, line ends among them."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _indented(stream: TextIO, failure: ExcInfo) -> None:
    """A traceback of which no line looks like a line of the log, whatever the exception's words hold."""
    for line in "".join(traceback.format_exception(*failure)).splitlines():
        stream.write(f"\n    {printable(line)}")


def _named(process: str) -> Processor:
    def name(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name
