"""The routes that make, repair and return pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.api.context import Context, InContext, OfCaller, context_of
from service.api.job_factory import generate_job, repair_job, with_files
from service.api.json_request import JsonRequest
from service.api.middleware.auth import Caller
from service.api.negotiation import JSON, PNG
from service.api.submission import idempotency_key_of, submitted
from service.core.errors import InvalidRequest
from service.core.job_state import JobKind
from service.core.params import Conf
from service.images.decode import read_image
from service.jobs.records import NewJob
from service.jobs.work import IMAGE
from service.schemas.answers import (
    Answer,
    DetectAnswer,
    JobAnswer,
    ProblemAnswer,
)
from service.schemas.costs import cost_of_detect
from service.schemas.refusals import Refused, check_gradient
from service.schemas.requests import (
    DetectBody,
    FeedbackBody,
    GenerateBody,
    RepairJob,
    RepairUpload,
    as_json,
    validated,
)

_FOREVER = "private, max-age=31536000, immutable"
_FORM = "multipart/form-data"
_Handle = Callable[[Request], Awaitable[Response]]


class _TypedRoute(APIRoute):
    """Refuses a body of another media type before it is read."""

    media_type: str

    def get_route_handler(self) -> _Handle:  # type: ignore[override]
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if sent != self.media_type:
                raise InvalidRequest(
                    f"the body is {sent or 'of no stated type'}",
                    code="unsupported_media_type",
                    allowed=[self.media_type],
                )
            return await self.answered(request, handle)

        return checked

    async def answered(self, request: Request, handle: _Handle) -> Response:
        """Answers a request whose body is of the right type."""
        return await handle(request)


class JsonRoute(_TypedRoute):
    """A route for JSON, which is parsed in a thread and not in the event loop."""

    media_type = JSON

    async def answered(self, request: Request, handle: _Handle) -> Response:
        """Reads the body before FastAPI does."""
        reading = JsonRequest(request, context_of(request).upload_slots)
        try:
            await reading.read()
            return await handle(reading)
        finally:
            reading.release()


class FormRoute(_TypedRoute):
    """A route for a form with files."""

    media_type = _FORM


async def check_form(request: Request) -> None:
    """Checks that no form field is repeated, except lists; a dependency of routes that take a form.

    Raises:
        Refused: ``repeated_parameter``. Otherwise the last of two values would win without notice.
    """
    names = [name for name, _ in (await request.form()).multi_items() if not name.endswith("[]")]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        facts = {"code": "repeated_parameter", "message": "it is there twice", "allowed": "once"}
        raise Refused([{"parameter": name, **facts} for name in repeated])


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the documented refusals of an operation, for ``/docs``."""
    schema = ProblemAnswer.model_json_schema()
    return {
        status: {
            "description": ProblemAnswer.__doc__ or "",
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {PNG: {"schema": {"type": "string", "format": "binary"}}}}
}
_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": JobAnswer, "description": "The job is written down; `Location` is its address."}
}
_REFUSALS = problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503, 504)
json_routes = APIRouter(route_class=JsonRoute)
form_routes = APIRouter(route_class=FormRoute, dependencies=[Depends(check_form)])
plain_routes = APIRouter()


@json_routes.post("/generate", response_model=Answer, responses=_PICTURE | _LATER | _REFUSALS)
async def generate(body: GenerateBody, request: Request, context: InContext, caller: OfCaller) -> Response:
    """Generates pictures from a prompt, and repairs their malformed regions."""
    new = generate_job(context, caller, body, idempotency_key_of(request))
    return await submitted(request, context, new)


class RepairForm(BaseModel):
    """A picture and the options of its repair."""

    model_config = ConfigDict(extra="forbid")

    image: UploadFile = Field(description="PNG, JPEG or WebP.")
    params: str = Field(
        "{}", max_length=100_000, description="JSON: the repair object, prompt, negative_prompt and seed."
    )
    mask: UploadFile | None = Field(
        None, description="White = redraw, the same size as the picture. No detection then."
    )
    dry_run: bool = Field(False, description="Returns plan and masks only; nothing is redrawn.")


@form_routes.post("/repair", response_model=Answer, responses=_PICTURE | _LATER | _REFUSALS)
async def repair(
    form: Annotated[RepairForm, Form(media_type=_FORM)],
    request: Request,
    context: InContext,
    caller: OfCaller,
) -> Response:
    """Redraws only the malformed regions of an uploaded picture."""
    body = validated(RepairUpload, form.params, prefix="params")
    kept_body = body.as_job(form.dry_run)
    key = idempotency_key_of(request)
    return await submitted(request, context, await _repair_job(form, kept_body, context, caller, key))


async def _repair_job(
    form: RepairForm, body: RepairJob, context: Context, caller: Caller, key: str | None
) -> NewJob:
    """Builds the job outside of the route, which would hold the files in memory during the wait."""
    async with context.upload_slots:
        image = await context.uploaded(form.image)
        mask = None if form.mask is None else await context.uploaded(form.mask)
        return await repair_job(context, caller, body, image, mask, key)


class DetectForm(BaseModel):
    """A picture for the detector."""

    model_config = ConfigDict(extra="forbid")

    image: UploadFile = Field(description="PNG, JPEG or WebP.")
    conf: Conf | None = Field(None, description="The minimum score. Default: the model's own.")
    heatmap: bool = Field(False, description="Adds a heat map of the pixels behind the scores.")


@form_routes.post("/detect", response_model=DetectAnswer, responses=_LATER | _REFUSALS)
async def detect(
    form: Annotated[DetectForm, Form(media_type=_FORM)],
    request: Request,
    context: InContext,
    caller: OfCaller,
) -> Response:
    """Detects body parts: boxes, classes and scores; changes nothing."""
    return await submitted(request, context, await _detect_job(form, request, context, caller))


async def _detect_job(form: DetectForm, request: Request, context: Context, caller: Caller) -> NewJob:
    async with context.upload_slots:
        content = await context.uploaded(form.image)
        height, width = (await context.pixels(read_image, content, context.limits)).image.shape[:2]
        worker = context.job_service.worker()
        if form.heatmap:
            check_gradient(worker.models, "heatmap")
        new = NewJob(
            kind=JobKind.DETECT,
            request=as_json(DetectBody(conf=form.conf, heatmap=form.heatmap)),
            cost=cost_of_detect((height, width)),
            owner=caller.owner,
            idempotency_key=idempotency_key_of(request),
        )
        return await with_files(context, new, {IMAGE: content})


@plain_routes.get("/images/{sha256}", response_class=Response, responses=_PICTURE | problems(401, 404, 500))
async def image(sha256: str, request: Request, context: InContext, caller: OfCaller) -> Response:
    """Returns a picture or a mask that this service made."""
    await context.check_visible(sha256, caller)
    png = await context.pixels(context.images.get, sha256)
    tag = {"ETag": f'"{sha256}"', "Cache-Control": _FOREVER}
    if tag["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=tag)
    return Response(png, media_type=PNG, headers=tag)


@json_routes.post("/images/{sha256}/feedback", status_code=201, responses=problems(400, 401, 404, 415, 422))
async def feedback(sha256: str, body: FeedbackBody, context: InContext, caller: OfCaller) -> FeedbackBody:
    """Stores a verdict on one region of a finished picture; each caller's last one counts."""
    await context.check_visible(sha256, caller)
    await context.keep_feedback(sha256, body, caller)
    return body
