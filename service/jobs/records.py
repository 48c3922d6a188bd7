"""Records of the queue: jobs, events, leases and limits, all frozen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from service.core.job_state import JobKind, JobState

Json = Mapping[str, Any]


class EventType(StrEnum):
    """The types of a job's events."""

    STATE = "state"
    PROGRESS = "progress"
    PREVIEW = "preview"
    REGIONS = "regions"
    ATTEMPT = "attempt"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A request for a job.

    Attributes:
        owner: the id of the key; empty where there are no keys.
        request: the parameters, as JSON.
        inputs: the sha256 of each uploaded file, by its field's name.
        cost: pixels times denoising steps, in millions: the unit of the queue's limits.
        idempotency_key: there is at most one job for each owner and key.
    """

    kind: JobKind
    request: Json
    cost: float
    owner: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the table; times are seconds since 1970, UTC.

    Attributes:
        attempts: the number of times that a worker has started it.
        position: the number of queued jobs before it; None if it is not queued.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event of a job; ids increase."""

    id: int
    job_id: str
    type: EventType
    data: Json


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job, until another worker gets a higher token.

    Attributes:
        cost: the cost of the job, in megapixel steps.
    """

    job: Job
    token: int
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class JobControl:
    """Control flags of a running job: that it is cancelled, and that previews are wanted."""

    cancel: bool
    previews: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """The limits of the queue.

    Attributes:
        cost: of all queued jobs together, in megapixel steps.
        jobs: the number of jobs of all owners together.
        jobs_per_owner: the number of jobs of one owner.
        cost_per_job: the cost of one job, in megapixel steps.
    """

    cost: float
    jobs: int
    jobs_per_owner: int
    cost_per_job: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """The number and cost of the queued jobs."""

    jobs: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """The facts of one worker, as it last reported them.

    Attributes:
        state: ``starting``, ``ready`` or ``failed``.
        models: facts about each loaded model.
        problem: ``code`` and ``detail`` of a failure.
        gpu: ``device`` and bytes of each card that it uses.
    """

    id: str
    state: str
    seen_at: float
    models: tuple[Json, ...] = ()
    class_names: tuple[str, ...] = ()
    problem: Json | None = None
    gpu: tuple[Json, ...] = ()
