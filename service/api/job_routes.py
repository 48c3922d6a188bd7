"""The addresses of jobs: look, cancel, retry, follow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from service.api.context import Context, InContext, OfCaller
from service.api.routes import problems
from service.api.submitting import accepted, job_answer
from service.errors import NotFound
from service.jobs.records import EventType
from service.report import JobState
from service.wire.answer_shapes import JobAnswer, JobsAnswer
from service.wire.event_shapes import event_stream
from service.wire.uploads import MEDIA_TYPES, media_type_of

PING_S = 15
MAX_PAGE = 100
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": event_stream()}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES}}
}

job_routes = APIRouter(prefix="/jobs")


@job_routes.get("", response_model=JobsAnswer, responses=problems(401, 404, 422, 503))
async def jobs(
    request: Request,
    context: InContext,
    caller: OfCaller,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    before: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
) -> JobsAnswer:
    """The caller's jobs, newest first."""
    found = await context.desk.page(caller.sees, limit + 1, before)
    rest = found[limit - 1].id if len(found) > limit else None
    return JobsAnswer(jobs=[job_answer(request, job) for job in found[:limit]], next=rest)


@job_routes.get("/{job_id}", response_model=JobAnswer, responses=problems(401, 404, 503))
async def job(job_id: str, request: Request, context: InContext, caller: OfCaller) -> JobAnswer:
    """One job: how far it is while it runs, its result once it has one."""
    found = await context.desk.get(job_id, caller.sees)
    told = None
    if found.state is JobState.RUNNING:
        told = (await context.desk.latest(job_id)).get(EventType.PROGRESS)
    return job_answer(request, found, None if told is None else told.data)


@job_routes.get("/{job_id}/inputs/{name}", response_class=Response, responses=_FILE | problems(401, 404, 503))
async def upload(job_id: str, name: str, context: InContext, caller: OfCaller) -> Response:
    """A file that was uploaded with a job, as it came: its ``image`` or its ``mask``."""
    inputs = (await context.desk.get(job_id, caller.sees)).inputs
    if name not in inputs:
        raise NotFound("the job has no such file", code="unknown_file", allowed=sorted(inputs))
    content = await context.pixels(context.inputs.get, inputs[name])
    return Response(
        content, media_type=media_type_of(content), headers={"Cache-Control": "private, no-cache"}
    )


@job_routes.post("/{job_id}/cancel", response_model=JobAnswer, responses=problems(401, 404, 503))
async def cancel(job_id: str, request: Request, context: InContext, caller: OfCaller) -> JobAnswer:
    """Ends a job: at once if it waits, within a denoising step if it runs. A finished one stays as it is."""
    return job_answer(request, await context.desk.cancel(job_id, caller.sees))


@job_routes.post(
    "/{job_id}/retry",
    response_model=JobAnswer,
    status_code=202,
    responses=problems(401, 404, 409, 429, 503),
)
async def retry(job_id: str, request: Request, context: InContext, caller: OfCaller) -> Response:
    """Asks again for what a finished job was asked for: a new job."""
    return accepted(request, await context.desk.retry(job_id, caller.sees))


@job_routes.get(
    "/{job_id}/events", response_class=EventSourceResponse, responses=_EVENTS | problems(401, 404, 503)
)
async def events(
    job_id: str,
    request: Request,
    context: InContext,
    caller: OfCaller,
    last_event_id: Annotated[str | None, Header(description="Where to go on from.")] = None,
) -> EventSourceResponse:
    """What happens to a job, as server-sent events: state, progress, preview, regions, attempt, done."""
    await context.desk.attend(await context.desk.get(job_id, caller.sees))
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    return EventSourceResponse(_told(request, context, job_id, after), ping=PING_S)


async def _told(
    request: Request, context: Context, job_id: str, after: int
) -> AsyncIterator[ServerSentEvent]:
    async for event in context.desk.follow(job_id, after):
        data = json.dumps(dict(event.data))
        if event.type is EventType.DONE:
            finished = await context.desk.get(job_id, None)
            data = job_answer(request, finished).model_dump_json()
        yield ServerSentEvent(data, event=event.type.value, id=str(event.id))
