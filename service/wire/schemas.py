"""The shapes of requests and answers. The only place with pydantic models besides the settings.

The limits are the engine's own, so that ``/docs`` tells them and a refusal can list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
)

from service.report import (
    GenerateRequest,
    JobKind,
    JobState,
    Outcome,
    RegionOutcome,
    RepairParams,
    Verdict,
)
from service.runs import Sampling, WatchParams
from service.validation import (
    MAX_BEST_OF,
    MAX_GUIDANCE,
    MAX_IMAGES,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    SIZE_STEP_PX,
)
from service.wire.refusals import refuse
from service.wire.repairing import Body
from service.wire.repairing import Conf as Conf
from service.wire.repairing import OptionalPrompt as OptionalPrompt
from service.wire.repairing import RepairBody as RepairBody
from service.wire.watching import WatchBody

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARS)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Side = Annotated[int, Field(ge=SIZE_STEP_PX, multiple_of=SIZE_STEP_PX)]


class RepairUploadBody(RepairBody):
    """How to repair an uploaded picture: the form field ``params``."""

    prompt: OptionalPrompt = Field("", description="What the picture shows; it guides the redrawing.")
    negative_prompt: OptionalPrompt = Field("", description="What it must not show.")
    seed: Seed | None = Field(None, description="Chosen and told if left out.")


class RepairJobBody(RepairUploadBody):
    """The same as a job keeps it, with the form's switch."""

    dry_run: bool = False


class DetectBody(Body):
    """How to look."""

    conf: Conf | None = Field(None, description="Least score; the model's own if left out.")
    heatmap: bool = Field(False, description="Whether to show where the scores come from.")


def _repair_kind(value: Any) -> str:
    return "switch" if isinstance(value, bool) else "params"


class GenerateBody(Body):
    """What to make."""

    prompt: Prompt = Field(description="What the picture shall show.")
    negative_prompt: OptionalPrompt = Field("", description="What it must not show.")
    seed: Seed | None = Field(None, description="Chosen and told if left out.")
    width: Side | None = Field(None, description="In pixels; the model's own if left out.")
    height: Side | None = Field(None, description="In pixels; the model's own if left out.")
    num_inference_steps: int | None = Field(
        None, ge=1, le=MAX_STEPS, description="The model's own if left out."
    )
    guidance_scale: float | None = Field(
        None, ge=0, le=MAX_GUIDANCE, description="The model's own if left out."
    )
    num_images: int = Field(1, ge=1, le=MAX_IMAGES)
    best_of: int = Field(
        1, ge=1, le=MAX_BEST_OF, description="Candidates for each picture, of which the best is taken."
    )
    watch: Annotated[
        Annotated[bool, Tag("switch")] | Annotated[WatchBody, Tag("params")], Discriminator(_repair_kind)
    ] = Field(False, description="Whether and how to look while the picture is made, to stop hopeless runs.")
    repair: Annotated[
        Annotated[bool, Tag("switch")] | Annotated[RepairBody, Tag("params")], Discriminator(_repair_kind)
    ] = Field(True, description="Whether and how to repair what is malformed.")

    def to_request(self) -> GenerateRequest:
        """The same, as the engine takes it."""
        return GenerateRequest(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            width=self.width,
            height=self.height,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            num_images=self.num_images,
            repair=self._repair_params(),
            best_of=self.best_of,
            watch=self.watch_params(),
        )

    def watch_params(self) -> WatchParams | None:
        """How to watch; None if not at all."""
        if isinstance(self.watch, WatchBody):
            return self.watch.to_params()
        return WatchParams() if self.watch else None

    def _repair_params(self) -> RepairParams | None:
        if isinstance(self.repair, RepairBody):
            return self.repair.to_params()
        return RepairParams() if self.repair else None


BodyT = TypeVar("BodyT", bound=BaseModel)


def validated(model: type[BodyT], values: Mapping[str, Any] | str | bytes, prefix: str = "") -> BodyT:
    """Makes a body from named values or from JSON text.

    Raises:
        Refused: naming each parameter that is not acceptable; ``prefix`` says where they stood.
    """
    try:
        if isinstance(values, (str, bytes)):
            return model.model_validate_json(values)
        return model.model_validate(values)
    except ValidationError as error:
        raise refuse(model, error, prefix) from None


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
                    verdict=attempt.verdict,
                    guide_before=attempt.guide_before,
                    guide_after=attempt.guide_after,
                )
                for attempt in outcome.attempts
            ],
        )


class ImageAnswer(BaseModel):
    """One finished picture."""

    url: str
    sha256: str
    original_url: str | None = Field(description="The picture before any repair.")
    width: int
    height: int
    seed: int
    outcome: Outcome
    regions: list[RegionAnswer]
    sampling: Sampling | None = Field(
        None, description="The runs of the generator that it was chosen from; null for an upload."
    )


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


class FeedbackBody(Body):
    """What somebody thinks of one region of a finished picture."""

    region: int = Field(ge=0, le=255, description="Its place in the report's list.")
    verdict: Literal["still_wrong", "was_fine"]


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
