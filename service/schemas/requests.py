"""Schemas of the requests. Repair and watch parameters are declared in ``service.core.params``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
)

from service.core.constraints import Doc
from service.core.limits import (
    MAX_PROMPT_CHARS,
    SIZE_STEP_PX,
)
from service.core.params import Conf, Guidance, PromptText, RepairParams, Steps, WatchParams
from service.core.requests import CandidateCount, GenerateRequest, ImageCount, Seed
from service.schemas.json_text import read_json
from service.schemas.refusals import refuse

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARS)]
OptionalPrompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT_CHARS)]
Side = Annotated[int, Field(ge=SIZE_STEP_PX, multiple_of=SIZE_STEP_PX)]


class Body(BaseModel):
    """A request body: unknown names and invalid numbers are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairUpload(RepairParams):
    """The parameters of a repair of an upload: the form field ``params``."""

    prompt: Annotated[PromptText, Doc("What the picture shows; it guides the redrawing.")] = ""
    negative_prompt: Annotated[PromptText, Doc("What it must not show.")] = ""
    seed: Annotated[Seed | None, Doc("Chosen and told if left out.")] = None

    def as_job(self, dry_run: bool) -> RepairJob:
        """Returns a copy with the form's ``dry_run``."""
        return RepairJob(**{f.name: getattr(self, f.name) for f in fields(RepairUpload)}, dry_run=dry_run)

    @property
    def params(self) -> RepairParams:
        """The repair parameters alone, as the engine takes them."""
        return RepairParams(**{f.name: getattr(self, f.name) for f in fields(RepairParams)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairJob(RepairUpload):
    """A repair as stored with its job, with the form's ``dry_run``."""

    dry_run: bool = False


class DetectBody(Body):
    """The parameters of a detection."""

    conf: Conf | None = Field(None, description="The minimum score. Default: the model's own.")
    heatmap: bool = Field(False, description="Adds a heat map of the pixels behind the scores.")


_REPAIR, _WATCH = RepairParams(), WatchParams()


def _switch_or_params(value: Any) -> str:
    return "switch" if isinstance(value, bool) else "params"


class GenerateBody(Body):
    """The parameters of a generation."""

    prompt: Prompt = Field(description="The wanted content of the picture.")
    negative_prompt: OptionalPrompt = Field("", description="Content to avoid in the picture.")
    seed: Seed | None = Field(None, description="Default: random, and reported in the answer.")
    width: Side | None = Field(None, description="In pixels. Default: the model's own.")
    height: Side | None = Field(None, description="In pixels. Default: the model's own.")
    num_inference_steps: Steps | None = Field(None, description="Default: the model's own.")
    guidance_scale: Guidance | None = Field(None, description="Default: the model's own.")
    num_images: ImageCount = 1
    best_of: CandidateCount = Field(1, description="Candidates for each picture; the best is kept.")
    watch: Annotated[
        Annotated[bool, Tag("switch")] | Annotated[WatchParams, Tag("params")],
        Discriminator(_switch_or_params),
    ] = Field(False, description="Checks unfinished pictures, to stop hopeless runs; true, or parameters.")
    repair: Annotated[
        Annotated[bool, Tag("switch")] | Annotated[RepairParams, Tag("params")],
        Discriminator(_switch_or_params),
    ] = Field(True, description="Repairs malformed regions; true, or parameters.")

    def to_request(self) -> GenerateRequest:
        """Returns the request as the engine takes it."""
        return GenerateRequest(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            width=self.width,
            height=self.height,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            num_images=self.num_images,
            repair=_chosen(self.repair, _REPAIR),
            best_of=self.best_of,
            watch=_chosen(self.watch, _WATCH),
        )


P = TypeVar("P")


def _chosen(value: bool | P, default: P) -> P | None:
    """Returns the parameters, the default for True, or None for False."""
    if isinstance(value, bool):
        return default if value else None
    return value


class FeedbackBody(Body):
    """A verdict on one region of a finished picture."""

    region: int = Field(ge=0, le=255, description="The region's index in the report.")
    verdict: Literal["still_wrong", "was_fine"]


T = TypeVar("T")


def validated(shape: type[T], values: Mapping[str, Any] | str | bytes, prefix: str = "") -> T:
    """Validates a body or record, from named values or from JSON text.

    Raises:
        Refused: naming each invalid parameter; ``prefix`` is their location.
    """
    if isinstance(values, (str, bytes)):
        values = read_json(values, prefix or "body")
    adapter: TypeAdapter[T] = _adapter(shape)  # type: ignore[arg-type]
    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        raise refuse(adapter.json_schema(), error, prefix) from None


def as_json(body: Any, only_changed: bool = False) -> dict[str, Any]:
    """Returns a body or record as JSON values; ``validated`` reads it back.

    Args:
        body: a body or record of this module.
        only_changed: leaves out what has its default value.
    """
    stored = _adapter(type(body)).dump_python(  # type: ignore[arg-type]
        body, mode="json", exclude_defaults=only_changed
    )
    assert isinstance(stored, dict)
    return stored


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
