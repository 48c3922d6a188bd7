"""Schemas of the answers."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from service.core.job_state import JobKind, JobState
from service.core.report import Attempt, Outcome, RegionOutcome, Unused, Verdict
from service.core.runs import Sampling


class AttemptAnswer(BaseModel):
    """One candidate and the gate's verdict on it."""

    method: str
    strength: float
    seed: int
    conf: float = Field(description="The highest malformed score in the region after the redraw.")
    critic: float | None = Field(
        None, description="The critic's probability of malformed; null without a critic's check."
    )
    seam: float = Field(description="The colour step across the mask's edge; about 1 is unchanged.")
    foreign_colour: float = Field(
        0.0,
        description="The share of the mask in a new colour; 0 where new colours were requested.",
    )
    verdict: Verdict
    guide_before: float | None = Field(
        None, description="The detector's defect energy before the first nudge; null without nudging."
    )
    guide_after: float | None = Field(None, description="The defect energy after the last nudge.")

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptAnswer:
        """Returns the answer for an attempt: its fields have the same names."""
        return cls.model_validate(attempt, from_attributes=True)


class RegionAnswer(BaseModel):
    """The outcome of one region."""

    number: int = Field(0, description="The region's number in `only`, `skip` and `per_region`.")
    class_name: str
    xyxy: tuple[int, int, int, int] = Field(description="Half-open, in pixels of the picture.")
    conf_before: float
    conf_after: float = Field(description="The malformed score of the pixels in the answer.")
    accepted: bool
    reason: str
    mask_url: str | None = Field(description="The mask of pixels that may differ; 0 = untouched.")
    attempts: list[AttemptAnswer]

    @classmethod
    def of(cls, outcome: RegionOutcome, mask_url: str | None) -> RegionAnswer:
        """Returns the answer for an outcome."""
        return cls(
            number=outcome.region.number,
            class_name=outcome.region.class_name,
            xyxy=outcome.region.xyxy,
            conf_before=outcome.region.conf,
            conf_after=outcome.conf_after,
            accepted=outcome.accepted,
            reason=outcome.reason,
            mask_url=mask_url,
            attempts=[AttemptAnswer.of(attempt) for attempt in outcome.attempts],
        )


class UnusedAnswer(BaseModel):
    """One input that had no effect, or only a part of its effect."""

    name: str = Field(description="The parameter, as in the request.")
    reason: str = Field(description="The reason, and the replacement if there is one.")
    where: str = Field("", description="The part without effect, if not all of it.")

    @classmethod
    def of(cls, unused: Unused) -> UnusedAnswer:
        """Returns the answer for an input."""
        return cls(name=unused.name, reason=unused.reason, where=unused.where)


class ImageAnswer(BaseModel):
    """One finished picture."""

    url: str
    sha256: str
    original_url: str | None = Field(description="The picture before any repair.")
    width: int
    height: int
    seed: int
    outcome: Outcome = Field(
        description="`clean`: checked, and nothing is malformed; `nothing_asked`: the defects were excluded "
        "from repair, or could not be judged."
    )
    reason: str = Field("", description="Details of the outcome; empty where there are none.")
    regions: list[RegionAnswer]
    sampling: Sampling | None = Field(
        None, description="The generator's runs from which it was chosen; null for an upload."
    )
    unused: list[UnusedAnswer] = Field([], description="All inputs without effect.")


class Answer(BaseModel):
    """The answer of /generate and /repair."""

    id: str
    images: list[ImageAnswer]
    models: dict[str, str]
    timings_s: dict[str, float]


class DetectionAnswer(BaseModel):
    """One detection."""

    class_name: str
    xyxy: tuple[float, float, float, float] = Field(description="Half-open, in pixels of the picture.")
    conf: float


class DetectAnswer(BaseModel):
    """The answer of /detect."""

    id: str
    width: int
    height: int
    detections: list[DetectionAnswer]
    heatmap_url: str | None = Field(
        None, description="A heat map of the pixels behind the malformed scores, over the picture."
    )
    timings_s: dict[str, float]


class ProgressAnswer(BaseModel):
    """The progress of a running job."""

    phase: str
    done: int
    total: int


class JobAnswer(BaseModel):
    """One job."""

    id: str
    kind: JobKind
    state: JobState
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    position: int | None = Field(description="The number of jobs before it in the queue; null if not queued.")
    progress: ProgressAnswer | None = Field(
        None, description="Present while it runs, in answers for a single job."
    )
    request: dict[str, Any] = Field(description="The request's parameters.")
    result: Answer | DetectAnswer | None = Field(description="Present once it has succeeded.")
    problem: dict[str, Any] | None = Field(description="The error, once it has failed.")


class JobsAnswer(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobAnswer]
    next: str | None = Field(description="The value of `before` for the next page; null at the end.")


class ModelsAnswer(BaseModel):
    """The loaded models and their classes."""

    models: list[dict[str, Any]]
    class_names: list[str]


class HealthAnswer(BaseModel):
    """The answer of a passed health check."""

    status: str


class ProblemAnswer(BaseModel):
    """An error, in the format of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable name, in snake_case.")
    instance: str
    id: str = Field(description="The request's id in the log.")
    allowed: Any = Field(None, description="The accepted values.")
    errors: list[dict[str, Any]] | None = Field(None, description="All refused parameters.")
