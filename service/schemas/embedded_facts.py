"""What of a report goes into the PNG file itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic_core import to_jsonable_python

from service.core.report import RepairReport
from service.schemas.answers import RegionAnswer

FORMAT = 1
"""Counts up when a reader would have to change."""


def embedded_facts(report: RepairReport) -> dict[str, Any]:
    """The report as told inside the file, ready for JSON: what was decided and by which models.

    Nothing in it changes from run to run: no seconds, ids or addresses. Nor the prompt, which may be private.
    """
    facts = {
        "format": FORMAT,
        "seed": report.seed,
        "outcome": report.outcome.value,
        "models": dict(report.models),
        "regions": [
            RegionAnswer.of(outcome, None).model_dump(mode="json", exclude={"mask_url"})
            for outcome in report.regions
        ],
    }
    if report.reason:
        facts["reason"] = report.reason
    if report.unused:
        facts["unused"] = [dataclasses.asdict(unused) for unused in report.unused]
    if report.sampling is not None:
        facts["sampling"] = to_jsonable_python(dataclasses.asdict(report.sampling))
    return facts
