"""Errors as application/problem+json (RFC 9457), from one table."""

from __future__ import annotations

import http
import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.core.errors import (
    AnatomendError,
    Cancelled,
    Conflict,
    DatabaseUnavailable,
    Forbidden,
    InvalidImage,
    InvalidRequest,
    InvalidSettings,
    ModelUnavailable,
    NotFound,
    NotReady,
    QueueFull,
    StorageDamaged,
    StorageFull,
    StorageUnavailable,
    TimeLimit,
    TooLarge,
    Unauthorized,
    Unreadable,
)
from service.images.decode import too_many_bytes
from service.schemas.refusals import Refused, refuse_body

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

_log = logging.getLogger(__name__)

_STATUS_BY_CODE = {
    "unsupported_type": 415,
    "unsupported_media_type": 415,
    "invalid_json": 400,
    "invalid_last_event_id": 400,
    "too_many_jobs": 429,
}
_STATUS_BY_CLASS: tuple[tuple[type[AnatomendError], int], ...] = (
    (InvalidImage, 422),
    (InvalidRequest, 422),
    (TooLarge, 413),
    (NotFound, 404),
    (NotReady, 503),
    (ModelUnavailable, 503),
    (QueueFull, 503),
    (DatabaseUnavailable, 503),
    (StorageUnavailable, 503),
    (StorageFull, 507),
    (StorageDamaged, 500),
    (Unauthorized, 401),
    (Forbidden, 403),
    (Conflict, 409),
    (Cancelled, 409),
    (TimeLimit, 504),
    (Unreadable, 500),
    (InvalidSettings, 500),
    (AnatomendError, 500),
)
_CHALLENGES = {
    "missing_key": 'Bearer realm="anatomend"',
    "invalid_key": 'Bearer realm="anatomend", error="invalid_token"',
    "missing_scope": 'Bearer realm="anatomend", error="insufficient_scope"',
}
_CODE_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 408: "body_too_slow", 413: "too_many_bytes"}


class BodyTooLarge(HTTPException):
    """The body exceeds the limit.

    An HTTPException, since FastAPI takes any other exception during reading for an unreadable body.
    """

    def __init__(self, max_bytes: int) -> None:
        refusal = too_many_bytes(max_bytes)
        super().__init__(413, refusal.detail, {"Connection": "close"})
        self.allowed = refusal.allowed


class BodyTooSlow(HTTPException):
    """The body arrives too slowly. An HTTPException for the same reason."""

    def __init__(self, allowed_s: float) -> None:
        super().__init__(408, "the body did not come in time", {"Connection": "close"})
        self.allowed = {"seconds": round(allowed_s, 1)}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str,
    allowed: object = None,
    errors: object = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Returns a problem as a response; empty ``allowed`` and ``errors`` are left out."""
    body: dict[str, object] = {
        "type": f"urn:anatomend:problem:{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": f"urn:anatomend:request:{request_id}",
        "id": request_id,
    }
    if allowed is not None:
        body["allowed"] = allowed
    if errors is not None:
        body["errors"] = errors
    # ASCII escapes, so that a lone surrogate in a parameter's name can be quoted in the answer.
    return Response(json.dumps(body).encode(), status, dict(headers or {}), MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    """Returns the id that the outermost middleware gave this request."""
    return str(request.state.request_id)


def install(app: FastAPI) -> None:
    """Has the application answer expected errors as problems; unexpected ones are left to the guard."""
    app.add_exception_handler(AnatomendError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)


def from_error(error: AnatomendError, request_id: str) -> Response:
    """Returns the problem for one of the project's own exceptions."""
    by_class = next(status for kind, status in _STATUS_BY_CLASS if isinstance(error, kind))
    status = _STATUS_BY_CODE.get(error.code, by_class)
    passes = isinstance(error, (NotReady, QueueFull, DatabaseUnavailable, StorageUnavailable))
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR and not passes:
        _log.error("request %s: %s: %s", request_id, error.code, error.detail)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if passes else {}
    if error.code in _CHALLENGES:
        headers["WWW-Authenticate"] = _CHALLENGES[error.code]
    return problem(
        status,
        error.code,
        error.detail,
        request_id=request_id,
        allowed=error.allowed,
        errors=error.errors if isinstance(error, Refused) else None,
        headers=headers,
    )


def from_stored(stored: Mapping[str, object], request_id: str) -> Response:
    """Returns the problem that a failed job stores, by the name of its exception."""
    by_name = {kind.__name__: status for kind, status in _STATUS_BY_CLASS}
    code = str(stored.get("code", "internal_error"))
    return problem(
        _STATUS_BY_CODE.get(code, by_name.get(str(stored.get("error")), 500)),
        code,
        str(stored.get("detail", "the run failed inside")),
        request_id=request_id,
        allowed=stored.get("allowed"),
    )


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnatomendError)
    return from_error(error, request_id_of(request))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODE_BY_STATUS.get(error.status_code, "invalid_request")
    allowed: object = None
    if isinstance(error, (BodyTooLarge, BodyTooSlow)):
        allowed = error.allowed
    elif error.status_code == http.HTTPStatus.NOT_FOUND:
        allowed = sorted(request.app.openapi()["paths"])
    elif error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = sorted((error.headers or {}).get("Allow", "").replace(" ", "").split(","))
    return problem(
        error.status_code,
        code,
        error.detail,
        request_id=request_id_of(request),
        allowed=allowed,
        headers=error.headers,
    )


async def _on_invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    openapi = request.app.openapi()
    operation = openapi["paths"].get(request.scope["route"].path, {}).get(request.method.lower(), {})
    media_types = operation.get("requestBody", {}).get("content", {})
    schema: Mapping[str, Any] = next((entry["schema"] for entry in media_types.values()), {})
    return from_error(refuse_body(openapi, schema, error.errors()), request_id_of(request))
