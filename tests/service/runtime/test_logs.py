from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
from structlog.contextvars import bound_contextvars

from service.runtime.logs import Format, log_formatter


def line(form: Format, error: bool = False) -> str:
    secret = "a local variable"  # noqa: F841 - which no traceback may show
    record = logging.LogRecord("service.x", logging.INFO, __file__, 1, "job %s: done", ("7",), None)
    record.status = 200
    if error:
        try:
            raise ValueError("broken")
        except ValueError:
            record.exc_info = sys.exc_info()
    with bound_contextvars(request_id="r1", job_id="j1"):
        return log_formatter(form, "web").format(record)


def test_json_is_one_object_a_line_with_the_ids():
    told = json.loads(line("json"))
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "job 7: done", "level": "info", "logger": "service.x", "process": "web",
        "request_id": "r1", "job_id": "j1", "status": 200,
    }  # fmt: skip


def test_text_is_to_read():
    told = line("text")
    assert "job 7: done" in told
    assert "request_id=r1" in told
    assert "\x1b" not in told
    assert "\n" not in told


@pytest.mark.parametrize("form", ["json", "text"])
def test_tracebacks_show_no_variables(form: Format):
    told = line(form, error=True)
    assert "ValueError: broken" in told
    assert "a local variable" not in told.replace('secret = "a local variable"', "")
    assert form == "text" or "\n" not in told


@pytest.mark.parametrize("form", ["json", "text"])
def test_nobody_writes_lines_of_their_own(form: Format):
    hostile = "/x\n2026-01-01 [info] all is well\r\x1b[2J\x9b2J\u2028\u202e\ud800"
    record = logging.LogRecord("service.x", logging.INFO, __file__, 1, "GET %s 404", (hostile,), None)
    record.route = hostile
    told = log_formatter(form, "web").format(record)
    assert len(told.splitlines()) == 1
    assert told.isprintable()
    assert "all is well" in told
    told.encode()


def test_the_words_of_an_exception_begin_no_lines_either():
    try:
        raise ValueError("x\n2026-01-01 [info] all is well\x1b[2J")
    except ValueError:
        failure = sys.exc_info()
    record = logging.LogRecord("service.x", logging.ERROR, __file__, 1, "broken", (), failure)
    first, *others = log_formatter("text", "web").format(record).splitlines()
    assert "broken" in first
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)


def test_what_is_bound_stays_in_its_context():
    seen: list[str] = []
    record = logging.LogRecord("service.x", logging.INFO, __file__, 1, "x", (), None)
    with bound_contextvars(request_id="mine"):
        thread = threading.Thread(target=lambda: seen.append(log_formatter("json", "web").format(record)))
        thread.start()
        thread.join()
    assert "mine" not in seen[0]
