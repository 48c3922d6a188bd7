"""Kinds and states of jobs."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """The kind of a job."""

    GENERATE = "generate"
    REPAIR = "repair"
    DETECT = "detect"


class JobState(StrEnum):
    """The state of a job. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True if the state cannot change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)
