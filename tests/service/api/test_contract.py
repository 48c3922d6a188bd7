"""The service against its own OpenAPI document: whatever is sent, it answers as it says it does."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bench.serving import Service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("contract") / "data", sync_wait_s=5) as service:
        yield schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def test_the_events_of_a_job_are_those_of_the_document(contract):
    later = contract["/generate"]["POST"].Case(
        body={"prompt": "a hand", "seed": 1}, media_type="application/json", headers={"Prefer": "wait=0"}
    )
    job = later.call(timeout=30).json()
    followed = contract["/jobs/{job_id}/events"]["GET"].Case(path_parameters={"job_id": job["id"]})
    followed.call_and_validate(checks=CHECKS, timeout=30)


@pytest.mark.parametrize("examples", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_every_operation_answers_as_the_document_says(contract, examples):
    failures = []
    for result in contract.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=examples, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def check(case):
            case.call_and_validate(checks=CHECKS, timeout=30)

        try:
            check()
        except Exception as failure:  # noqa: BLE001 - all operations are asked before the first is blamed
            failures.append(f"{operation.label}: {failure}")
    assert not failures, "\n\n".join(failures)
