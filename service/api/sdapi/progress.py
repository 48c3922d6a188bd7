"""The progress of the caller's work, which front ends poll."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from service.api.context import Context
from service.api.middleware.auth import Caller
from service.jobs.records import EventType, Job, JobEvent

_STARTS = {"generate": 0.0, "detect": 0.7, "repair": 0.7}
"""The fraction of the whole at which each phase begins; the number of repairs is unknown before detection."""
_ENDS = {"generate": 0.7, "detect": 0.7, "repair": 0.99}


async def progress_of(context: Context, caller: Caller, with_picture: bool) -> dict[str, Any]:
    """Returns the state of the caller's current job; zeros if there is none."""
    job, count = await context.job_service.unfinished(caller.owner)
    if job is None:
        return _told(0.0, 0.0, None, {}, count)
    latest = await context.job_service.latest(job.id)
    share = _share(latest)
    begun_at = job.started_at
    elapsed_s = 0.0 if begun_at is None else max(0.0, time.time() - begun_at)
    eta_s = elapsed_s * (1 - share) / share if share else 0.0
    picture = latest.get(EventType.PREVIEW) if with_picture else None
    if with_picture and picture is None:
        await context.job_service.attend(job)
    shown = None if picture is None else str(picture.data["image"]).partition(",")[2]
    return _told(share, eta_s, shown, latest, count, job)


def _share(latest: Mapping[EventType, JobEvent]) -> float:
    told = latest.get(EventType.PROGRESS)
    if told is None:
        return 0.0
    phase, done, total = told.data["phase"], told.data["done"], told.data["total"]
    start, end = _STARTS.get(phase, 0.0), _ENDS.get(phase, 0.99)
    return round(start + (end - start) * (done / total if total else 0.0), 4)


def _told(
    share: float,
    eta_s: float,
    picture: str | None,
    latest: Mapping[EventType, JobEvent],
    count: int,
    job: Job | None = None,
) -> dict[str, Any]:
    told = latest.get(EventType.PROGRESS)
    stamp = "0" if job is None else datetime.fromtimestamp(job.created_at, UTC).strftime("%Y%m%d%H%M%S")
    return {
        "progress": share,
        "eta_relative": round(eta_s, 2),
        "state": {
            "skipped": False,
            "interrupted": job is not None and job.cancel_requested,
            "stopping_generation": False,
            "job": "" if job is None else job.id,
            "job_count": count,
            "job_timestamp": stamp,
            "job_no": 0,
            "sampling_step": 0 if told is None else told.data["done"],
            "sampling_steps": 0 if told is None else told.data["total"],
        },
        "current_image": picture,
        "textinfo": None if told is None else told.data["phase"],
    }
