"""``/v1/images/generations``, ``/v1/images/edits`` and ``/v1/models``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from sse_starlette import EventSourceResponse
from starlette.responses import JSONResponse, Response

from service.api.context import Context, InContext, OfCaller
from service.api.job_factory import generate_job, repair_job
from service.api.middleware.auth import Caller
from service.api.openai.models import check_model, models_of
from service.api.openai.pictures import as_base64, our_mask
from service.api.openai.shapes import Common, EditForm, ErrorAnswer, GenerationBody, refused, size_of, usage
from service.api.openai.streaming import told
from service.api.routes.pictures import FormRoute, JsonRoute, check_form
from service.api.submission import ended, handed_in, idempotency_key_of, result_of, unsuccessful
from service.core.errors import NotFound
from service.core.job_state import JobState
from service.images.decode import read_image
from service.jobs.records import Job, NewJob
from service.schemas.answer_builder import UNUSED_HEADER, unused_header
from service.schemas.answers import Answer, UnusedAnswer

_FORM = "multipart/form-data"
_IGNORED = "X-Anatomend-Ignored"

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503)
}
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/event-stream": {}}}
}

openai_json_routes = APIRouter(prefix="/v1", route_class=JsonRoute, responses=_REFUSALS)
openai_form_routes = APIRouter(
    prefix="/v1", route_class=FormRoute, responses=_REFUSALS, dependencies=[Depends(check_form)]
)
openai_plain_routes = APIRouter(prefix="/v1", responses=_REFUSALS)


@openai_json_routes.post("/images/generations", responses=_PICTURES)
async def generations(
    body: GenerationBody, request: Request, context: InContext, caller: OfCaller
) -> Response:
    """Generates pictures from a prompt and repairs them, in OpenAI's format."""
    body.check()
    check_model(body.model, context.job_service.worker())
    new = generate_job(context, caller, body.to_body(), idempotency_key_of(request))
    return await _answered(request, context, new, body, "image_generation")


@openai_form_routes.post("/images/edits", responses=_PICTURES)
async def edits(
    form: Annotated[EditForm, Form(media_type=_FORM)], request: Request, context: InContext, caller: OfCaller
) -> Response:
    """Redraws a picture where the mask is transparent; without a mask, where it is malformed."""
    form.check()
    check_model(form.model, context.job_service.worker())
    new = await _edit_job(form, context, caller, idempotency_key_of(request))
    return await _answered(request, context, new, form, "image_edit")


async def _edit_job(form: EditForm, context: Context, caller: Caller, key: str | None) -> NewJob:
    """Builds the job outside of the route, which would hold the files in memory during the wait."""
    async with context.upload_slots:
        body, image = form.to_body(), await context.uploaded(form.the_image())
        mask = None
        if form.mask is not None:
            mask = await context.pixels(our_mask, await context.uploaded(form.mask), context.limits)
        await _check_size(form, image, context)
        return await repair_job(context, caller, body, image, mask, key)


@openai_plain_routes.get("/models")
async def models(context: InContext) -> dict[str, Any]:
    """Lists the names that ``model`` may have."""
    return {"object": "list", "data": models_of(context.job_service.worker())}


@openai_plain_routes.get("/models/{name:path}")
async def model(name: str, context: InContext) -> dict[str, Any]:
    """Returns one of the models."""
    known = {entry["id"]: entry for entry in models_of(context.job_service.worker())}
    if name not in known:
        raise NotFound(f"no model {name!r}", code="model_not_found", allowed=sorted(known))
    return known[name]


async def _check_size(form: EditForm, image: bytes, context: Context) -> None:
    wanted = size_of(form.size)
    if wanted is None:
        return
    height, width = (await context.pixels(read_image, image, context.limits)).image.shape[:2]
    if wanted != (width, height):
        raise refused("size", f"the picture stays {width}x{height}", [f"{width}x{height}", "auto"])


async def _answered(request: Request, context: Context, new: NewJob, wish: Common, kind: str) -> Response:
    if wish.stream:
        job = await handed_in(context, new)
        stays = new.idempotency_key is not None
        events = told(request, context, job, wish, kind, stays)
        return EventSourceResponse(events, headers=_unused(wish), ping=15)
    job = await ended(request, context, new)
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful(request, job)
    facts = result_of(request, job)
    assert isinstance(facts, Answer)
    return JSONResponse(await _images(request, context, job, facts, wish), headers=_unused(wish, facts))


def _unused(wish: Common, facts: Answer | None = None) -> dict[str, str]:
    """Returns parameters without effect as headers: names that only the body holds, and all with reasons."""
    told = [UnusedAnswer.of(one) for one in wish.unused]
    headers = {_IGNORED: ", ".join(one.name for one in told)} if told else {}
    told += [one for image in facts.images for one in image.unused] if facts is not None else []
    return headers | ({UNUSED_HEADER: unused_header(told)} if told else {})


async def _images(
    request: Request, context: Context, job: Job, facts: Answer, wish: Common
) -> dict[str, Any]:
    data: list[dict[str, str]] = []
    for image in facts.images:
        if wish.wants_url:
            data.append({"url": f"{request.url.scheme}://{request.url.netloc}{image.url}"})
        else:
            png = await context.pixels(context.images.get, image.sha256)
            text = await context.pixels(as_base64, png, wish.format, wish.output_compression)
            data.append({"b64_json": text})
    return {
        "created": int(job.created_at),
        "data": data,
        "background": "opaque",
        "output_format": wish.format,
        "size": f"{facts.images[0].width}x{facts.images[0].height}",
        "usage": usage(),
    }
