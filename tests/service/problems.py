"""Holds what every refusal must look like."""

from __future__ import annotations

from typing import Any


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Checks an answer against RFC 9457 and the project's additions, and returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["allowed"]
    assert problem["detail"]
    assert {"type", "title", "instance"} <= set(problem)
    assert problem["id"] == response.headers["x-request-id"]
    return problem
