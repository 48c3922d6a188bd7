"""What a job is: the frozen records of the queue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.core.job_state import JobKind, JobState

Json = Mapping[str, Any]


class EventType(StrEnum):
    """What a job's events tell."""

    STATE = "state"
    PROGRESS = "progress"
    PREVIEW = "preview"
    REGIONS = "regions"
    ATTEMPT = "attempt"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is asked for.

    Attributes:
        owner: the id of the key that asks; empty where there are no keys.
        request: the parameters, as JSON would have them.
        inputs: sha256 of each uploaded file, by its field's name.
        cost: pixels times denoising steps, in millions: what the queue is measured by.
        idempotency_key: at most one job for each owner and key.
    """

    kind: JobKind
    request: Json
    cost: float
    owner: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands in the table; times are seconds since 1970, UTC.

    Attributes:
        attempts: how often a worker has begun it.
        progress: phase, done and total, as last told.
        position: how many queued jobs are before it; None if it is not queued.
        result: the answer, once it has succeeded.
        problem: ``code``, ``detail`` and perhaps ``allowed``, once it has failed.
    """

    seq: int
    id: str
    kind: JobKind
    state: JobState
    owner: str
    request: Json
    inputs: Mapping[str, str]
    created_at: float
    started_at: float | None
    finished_at: float | None
    attempts: int
    cancel_requested: bool
    position: int | None
    result: Json | None
    problem: Json | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job; ids grow."""

    id: int
    job_id: str
    type: EventType
    data: Json


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job, until another worker is given a higher token.

    Attributes:
        cost: of the job, in megapixel steps.
    """

    job: Job
    token: int
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class JobControl:
    """What is wanted of a running job: that it end, and that it show itself on the way."""

    cancel: bool
    previews: bool


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much may wait.

    Attributes:
        cost: of all queued jobs together, in megapixel steps.
        jobs: of all owners together.
        jobs_per_owner: of each.
        cost_per_job: of each, in megapixel steps.
    """

    cost: float
    jobs: int
    jobs_per_owner: int
    cost_per_job: float = math.inf


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits now."""

    jobs: int
    cost: float


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker as it last told of itself.

    Attributes:
        state: ``starting``, ``ready`` or ``failed``.
        models: facts about each loaded model.
        problem: ``code`` and ``detail`` of why it failed.
        gpu: ``device`` and bytes of each card it works on.
    """

    id: str
    state: str
    seen_at: float
    models: tuple[Json, ...] = ()
    class_names: tuple[str, ...] = ()
    problem: Json | None = None
    gpu: tuple[Json, ...] = ()
