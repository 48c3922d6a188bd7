"""The part of a report that is embedded in the PNG file itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic_core import to_jsonable_python

from service.core.report import RepairReport
from service.schemas.answers import RegionAnswer

FORMAT = 1
"""The version of the format; it increases when readers have to change."""


def embedded_facts(report: RepairReport) -> dict[str, Any]:
    """Returns the report for the file, ready for JSON: the decisions and the models that made them.

    It is the same on every run: no seconds, ids or URLs. The prompt, which may be private, is left out.
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
