"""The shapes of requests, as ``answer_shapes`` has those of answers.

The limits are the engine's own, so that ``/docs`` tells them and a refusal can list them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, StringConstraints, Tag, ValidationError

from service.core.report import GenerateRequest, RepairParams
from service.core.runs import WatchParams
from service.core.validation import (
    MAX_BEST_OF,
    MAX_GUIDANCE,
    MAX_IMAGES,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    SIZE_STEP_PX,
)
from service.schemas.json_text import read_json
from service.schemas.refusals import refuse
from service.schemas.repair_params import Body
from service.schemas.repair_params import Conf as Conf
from service.schemas.repair_params import OptionalPrompt as OptionalPrompt
from service.schemas.repair_params import RepairBody as RepairBody
from service.schemas.watch_params import WatchBody

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


class FeedbackBody(Body):
    """What somebody thinks of one region of a finished picture."""

    region: int = Field(ge=0, le=255, description="Its place in the report's list.")
    verdict: Literal["still_wrong", "was_fine"]


BodyT = TypeVar("BodyT", bound=BaseModel)


def validated(model: type[BodyT], values: Mapping[str, Any] | str | bytes, prefix: str = "") -> BodyT:
    """Makes a body from named values or from JSON text.

    Raises:
        Refused: naming each parameter that is not acceptable; ``prefix`` says where they stood.
    """
    if isinstance(values, (str, bytes)):
        values = read_json(values, prefix or "body")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refuse(model, error, prefix) from None
