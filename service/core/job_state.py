"""Kinds and states of jobs."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """What is to be done."""

    GENERATE = "generate"
    REPAIR = "repair"
    DETECT = "detect"


class JobState(StrEnum):
    """How far it is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in (JobState.QUEUED, JobState.RUNNING)
