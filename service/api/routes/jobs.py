"""The routes of jobs: read, cancel, retry, follow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from service.api.context import Context, InContext, OfCaller
from service.api.routes.pictures import problems
from service.api.submission import accepted, job_answer, job_answers
from service.core.errors import InvalidRequest, NotFound
from service.core.job_state import JobState
from service.images.decode import MEDIA_TYPES, media_type_of
from service.jobs.records import EventType
from service.schemas.answers import JobAnswer, JobsAnswer
from service.schemas.events import event_stream

PING_S = 15
MAX_PAGE = 100
MAX_ID_DIGITS = 19
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": event_stream()}},
    204: {"description": "The job has ended, and all of its events are known."},
}
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
    before: Annotated[str | None, Query(description="The `next` of the previous page.")] = None,
) -> JobsAnswer:
    """Lists the caller's jobs, newest first."""
    found = await context.job_service.page(caller.sees, limit + 1, before)
    rest = found[limit - 1].id if len(found) > limit else None
    return JobsAnswer(jobs=list(job_answers(request, found[:limit])), next=rest)


@job_routes.get("/{job_id}", response_model=JobAnswer, responses=problems(401, 404, 503))
async def job(job_id: str, request: Request, context: InContext, caller: OfCaller) -> JobAnswer:
    """Returns a job, with its progress while it runs and its result at the end."""
    found = await context.job_service.get(job_id, caller.sees)
    told = None
    if found.state is JobState.RUNNING:
        told = (await context.job_service.latest(job_id)).get(EventType.PROGRESS)
    return job_answer(request, found, None if told is None else told.data)


@job_routes.get(
    "/{job_id}/inputs/{name}", response_class=Response, responses=_FILE | problems(401, 404, 500, 503)
)
async def upload(job_id: str, name: str, context: InContext, caller: OfCaller) -> Response:
    """Returns an uploaded file of a job unchanged: its ``image`` or its ``mask``."""
    inputs = (await context.job_service.get(job_id, caller.sees)).inputs
    if name not in inputs:
        raise NotFound("the job has no such file", code="unknown_file", allowed=sorted(inputs))
    content = await context.pixels(context.inputs.get, inputs[name])
    return Response(
        content, media_type=media_type_of(content), headers={"Cache-Control": "private, no-cache"}
    )


@job_routes.post("/{job_id}/cancel", response_model=JobAnswer, responses=problems(401, 404, 503))
async def cancel(job_id: str, request: Request, context: InContext, caller: OfCaller) -> JobAnswer:
    """Cancels a job: at once if it is queued, within a denoising step if it runs; no effect at the end."""
    return job_answer(request, await context.job_service.cancel(job_id, caller.sees))


@job_routes.post(
    "/{job_id}/retry",
    response_model=JobAnswer,
    status_code=202,
    responses=problems(401, 404, 409, 429, 503),
)
async def retry(job_id: str, request: Request, context: InContext, caller: OfCaller) -> Response:
    """Submits the request of a finished job again, as a new job."""
    return accepted(request, await context.job_service.retry(job_id, caller.sees))


@job_routes.get(
    "/{job_id}/events", response_class=EventSourceResponse, responses=_EVENTS | problems(400, 401, 404, 503)
)
async def events(
    job_id: str,
    request: Request,
    context: InContext,
    caller: OfCaller,
    last_event_id: Annotated[str | None, Header(description="The id of the last received event.")] = None,
) -> Response:
    """Streams a job's server-sent events: state, progress, preview, regions, attempt, done.

    Answers 204 if the client has received the last event already.
    """
    found = await context.job_service.get(job_id, caller.sees)
    newest = await context.job_service.last_event_id(job_id)
    after = _last_event(last_event_id, newest)
    if found.state.is_final and after == newest:
        return Response(status_code=204)  # without it a browser would reconnect for ever
    await context.job_service.attend(found)
    return EventSourceResponse(_told(request, context, job_id, after, caller.owner), ping=PING_S)


def _last_event(told: str | None, newest: int) -> int:
    """Parses ``Last-Event-ID``; 0 if there is none.

    Raises:
        InvalidRequest: ``invalid_last_event_id``, if no event of the job can have this id.
    """
    if not told:
        return 0
    # An event's id is short, and Python accepts digits of other scripts.
    is_number = len(told) <= MAX_ID_DIGITS and told.isascii() and told.isdecimal()
    if not is_number or int(told) > newest:
        raise InvalidRequest(
            "the Last-Event-ID is none of this job's", code="invalid_last_event_id",
            allowed=f"a number from 0 to {newest}, as the events of this job have it, or no such header",
        )  # fmt: skip
    return int(told)


async def _told(
    request: Request, context: Context, job_id: str, after: int, caller: str
) -> AsyncIterator[ServerSentEvent]:
    async for event in context.job_service.follow(job_id, after, caller):
        data = json.dumps(dict(event.data))
        if event.type is EventType.DONE:
            finished = await context.job_service.get(job_id, None)
            data = job_answer(request, finished).model_dump_json()
        yield ServerSentEvent(data, event=event.type.value, id=str(event.id))
