"""The shapes of answers."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

from service.core.job_state import JobKind, JobState
from service.core.report import Outcome, RegionOutcome, Unused, Verdict
from service.core.runs import Sampling


class AttemptAnswer(BaseModel):
    """One candidate and what the gate said of it."""

    method: str
    strength: float
    seed: int
    conf: float = Field(description="The worst malformed score in the region afterwards.")
    critic: float | None = Field(
        None, description="The critic's probability of malformed; null if it was not asked."
    )
    seam: float = Field(description="Colour step across the mask's edge; about 1 is unchanged.")
    foreign_colour: float = Field(
        0.0,
        description="Share of the mask in a colour that was not there before; 0 where others were asked for.",
    )
    verdict: Verdict
    guide_before: float | None = Field(
        None, description="The detector's defect energy before the first nudge; null without nudging."
    )
    guide_after: float | None = Field(None, description="The same after the last nudge.")


class RegionAnswer(BaseModel):
    """What became of one region."""

    number: int = Field(0, description="What `only`, `skip` and `per_region` call it.")
    class_name: str
    xyxy: tuple[int, int, int, int] = Field(description="Half-open, in pixels of the picture.")
    conf_before: float
    conf_after: float = Field(description="Of the pixels in the answer.")
    accepted: bool
    reason: str
    mask_url: str | None = Field(description="Where the picture may differ; 0 = untouched.")
    attempts: list[AttemptAnswer]

    @classmethod
    def of(cls, outcome: RegionOutcome, mask_url: str | None) -> RegionAnswer:
        """The answer that tells of this outcome."""
        return cls(
            number=outcome.region.number,
            class_name=outcome.region.class_name,
            xyxy=outcome.region.xyxy,
            conf_before=outcome.region.conf,
            conf_after=outcome.conf_after,
            accepted=outcome.accepted,
            reason=outcome.reason,
            mask_url=mask_url,
            attempts=[
                AttemptAnswer(
                    method=attempt.method,
                    strength=attempt.strength,
                    seed=attempt.seed,
                    conf=attempt.conf,
                    critic=attempt.critic,
                    seam=attempt.seam,
                    foreign_colour=attempt.foreign_colour,
                    verdict=attempt.verdict,
                    guide_before=attempt.guide_before,
                    guide_after=attempt.guide_after,
                )
                for attempt in outcome.attempts
            ],
        )


class UnusedAnswer(BaseModel):
    """One input that had no effect, or not all of the effect that was asked for."""

    name: str = Field(description="The parameter, as it was written.")
    reason: str = Field(description="Why, and what is done in its place.")
    where: str = Field("", description="Which part of it, where that is not all.")

    @classmethod
    def of(cls, unused: Unused) -> UnusedAnswer:
        """The answer that tells of this input."""
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
        description="`clean`: looked at, and nothing is wrong; `nothing_asked`: what is wrong was not to be "
        "repaired, or nobody could tell."
    )
    reason: str = Field("", description="What the outcome alone does not say; empty where it says all.")
    regions: list[RegionAnswer]
    sampling: Sampling | None = Field(
        None, description="The runs of the generator that it was chosen from; null for an upload."
    )
    unused: list[UnusedAnswer] = Field([], description="Every input that had no effect.")


class Answer(BaseModel):
    """What /generate and /repair answer."""

    id: str
    images: list[ImageAnswer]
    models: dict[str, str]
    timings_s: dict[str, float]


class DetectionAnswer(BaseModel):
    """One thing that the detector saw."""

    class_name: str
    xyxy: tuple[float, float, float, float] = Field(description="Half-open, in pixels of the picture.")
    conf: float


class DetectAnswer(BaseModel):
    """What /detect answers."""

    id: str
    width: int
    height: int
    detections: list[DetectionAnswer]
    heatmap_url: str | None = Field(
        None, description="Where the scores of what is malformed come from, in colour over the picture."
    )
    timings_s: dict[str, float]


class ProgressAnswer(BaseModel):
    """How far a running job is."""

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
    position: int | None = Field(description="Jobs before it in the queue; null if it is not waiting.")
    progress: ProgressAnswer | None = Field(
        None, description="While it runs, and where a single job is asked for."
    )
    request: dict[str, Any] = Field(description="What was asked for.")
    result: Answer | DetectAnswer | None = Field(description="Once it has succeeded.")
    problem: dict[str, Any] | None = Field(description="Why it failed.")


class JobsAnswer(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobAnswer]
    next: str | None = Field(description="What to send as `before` for the next page; null at the end.")


class ModelsAnswer(BaseModel):
    """The models in use and what they can tell apart."""

    models: list[dict[str, Any]]
    class_names: list[str]


class HealthAnswer(BaseModel):
    """That the service is there."""

    status: str


class ProblemAnswer(BaseModel):
    """What went wrong, after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable name, in snake_case.")
    instance: str
    id: str = Field(description="The request's id, as the log names it.")
    allowed: Any = Field(None, description="What would have been accepted.")
    errors: list[dict[str, Any]] | None = Field(None, description="Every refused parameter.")
