"""Safe JSON parsing: only texts of a size and nesting that a request can have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from service.schemas.refusals import Refused

MAX_VALUES = 20_000
"""A request has a few hundred values at most. Parsing millions would block all requests."""
MAX_DEPTH = 32
"""Our bodies nest five deep, those of web UI front ends ten. Much deeper ones overflow the stack."""

_PIECE = 1 << 20


def read_json(content: bytes | str, name: str = "body") -> Any:
    """Parses a JSON text.

    Args:
        content: the text; bytes are UTF-8, or UTF-16 or UTF-32 with a byte order mark.
        name: the name of the parameter, for refusals.

    Raises:
        Refused: ``invalid_json``, ``too_many_values``, ``nested_too_deep`` or ``repeated_parameter``.
    """
    if _has_many_values(content):
        raise _refused(name, "too_many_values", "there are too many values", {"max_values": MAX_VALUES})
    try:
        text = content.decode(json.detect_encoding(content)) if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise _refused(name, "invalid_json", f"it is no text: {error.reason}", "JSON in UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise _refused(name, "invalid_json", f"{error.msg} at {error.pos}", "JSON") from None
    except _Repeated as error:
        where = str(error) if name == "body" else f"{name}.{error}"
        raise _refused(where, "repeated_parameter", "it is there twice", "once") from None
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError:  # the only other case: Python parses no numbers of more than some thousand digits
        raise _refused(name, "invalid_json", "a number is too long", "numbers of a few digits") from None
    if _is_deep(value):
        raise _too_deep(name)
    return value


def _has_many_values(content: bytes | str) -> bool:
    """Returns True if there are more values than a request needs; counts in chunks, to let other threads run.

    Delimiters inside of strings count too, which does no harm: a prompt is short, and base64 has none.
    """
    left = MAX_VALUES
    marks: tuple[Any, ...] = (b",", b"[", b"{") if isinstance(content, bytes) else (",", "[", "{")
    for at in range(0, len(content), _PIECE):
        piece = content[at : at + _PIECE]
        left -= sum(piece.count(mark) for mark in marks)
        if left < 0:
            return True
    return False


class _Repeated(Exception):
    """An object holds the same name twice."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object. Of two equal names JSON would keep the last one without notice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return value


def _is_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(name: str) -> Refused:
    return _refused(name, "nested_too_deep", "it is nested too deep", {"max_depth": MAX_DEPTH})


def _refused(name: str, code: str, message: str, allowed: object) -> Refused:
    return Refused([{"parameter": name, "code": code, "message": message, "allowed": allowed}])
