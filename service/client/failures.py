"""A service's refusals as exceptions of the classes that raised them there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from service.core.errors import (
    AnatomendError,
    Conflict,
    Forbidden,
    InvalidImage,
    InvalidRequest,
    NotFound,
    NotReady,
    QueueFull,
    TimeLimit,
    TooLarge,
    Unauthorized,
)
from service.schemas.refusals import Refused

_IMAGE_CODES = frozenset({"empty_image", "not_an_image", "unsupported_type", "damaged_image"})
_BY_STATUS: dict[int, type[AnatomendError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: InvalidRequest,
    422: InvalidRequest,
    429: QueueFull,
    503: NotReady,
    504: TimeLimit,
}


def failure_of(response: httpx2.Response) -> AnatomendError:
    """Returns the exception for an answer other than 2xx."""
    facts = problem_in(response)
    if facts is None:
        kind = _BY_STATUS.get(response.status_code, AnatomendError)
        return kind(f"{response.url.host} answered {response.status_code} {response.reason_phrase}")
    code = str(facts.get("code", "error"))
    errors = facts.get("errors")
    if errors:
        return Refused(errors)
    own = {kind.code: kind for kind in _kinds(AnatomendError)}
    kind = own.get(code) or _BY_STATUS.get(response.status_code, AnatomendError)
    kind = InvalidImage if code in _IMAGE_CODES else kind
    return kind(str(facts.get("detail", "")), code=code, allowed=facts.get("allowed"))


def failure_of_job(problem: Mapping[str, Any]) -> AnatomendError:
    """Returns the exception of a failed job, by the name in its problem."""
    by_name = {kind.__name__: kind for kind in _kinds(AnatomendError)}
    kind = by_name.get(str(problem.get("error")), AnatomendError)
    return kind(
        str(problem.get("detail", "the run failed inside")),
        code=str(problem.get("code", "internal_error")),
        allowed=problem.get("allowed"),
    )


def problem_in(response: httpx2.Response) -> dict[str, Any] | None:
    """Returns the body of a problem; None if it has another format, for example a proxy's."""
    if response.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return None
    try:
        facts = response.json()
    except json.JSONDecodeError:
        return None
    return facts if isinstance(facts, dict) else None


def _kinds(kind: type[AnatomendError]) -> Iterator[type[AnatomendError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _kinds(inner)
