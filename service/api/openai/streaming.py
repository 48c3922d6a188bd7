"""A job's events in OpenAI's format: partial pictures, then whole ones."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import Request
from sse_starlette import ServerSentEvent

from service.api.context import Context
from service.api.openai.errors import error_of
from service.api.openai.pictures import as_base64
from service.api.openai.shapes import Common, usage
from service.api.problems import from_error, request_id_of
from service.api.submission import result_of, unsuccessful
from service.core.errors import NotReady
from service.core.job_state import JobState
from service.jobs.records import EventType, Job
from service.schemas.answers import Answer


async def told(
    request: Request, context: Context, job: Job, wish: Common, kind: str, stays: bool
) -> AsyncIterator[ServerSentEvent]:
    """Yields the events of one job; if the client goes away the job is cancelled, unless it ``stays``."""
    try:
        async for partial in _partials(context, job, wish, kind):
            yield partial
        job = await context.job_service.get(job.id, None)
        if job.state is JobState.SUCCEEDED:
            async for whole in _wholes(request, context, job, wish, kind):
                yield whole
        else:
            yield _failed(request, context, job)
    finally:
        if not stays:
            with anyio.CancelScope(shield=True):  # the client may be gone, and this task cancelled
                await context.job_service.cancel(job.id, None)


async def _partials(context: Context, job: Job, wish: Common, kind: str) -> AsyncIterator[ServerSentEvent]:
    index, wanted = 0, wish.partial_images or 0
    if wanted:
        await context.job_service.attend(job)
    async for event in context.job_service.follow(job.id):
        if event.type is EventType.PREVIEW and index < wanted:
            preview = base64.b64decode(str(event.data["image"]).partition(",")[2])
            text = await context.pixels(as_base64, preview, wish.format, wish.output_compression)
            facts = {"b64_json": text, "partial_image_index": index, "size": wish.size or "auto"}
            yield _event(f"{kind}.partial_image", job, wish, facts)
            index += 1


async def _wholes(
    request: Request, context: Context, job: Job, wish: Common, kind: str
) -> AsyncIterator[ServerSentEvent]:
    result = result_of(request, job)
    assert isinstance(result, Answer)
    for image in result.images:
        png = await context.pixels(context.images.get, image.sha256)
        text = await context.pixels(as_base64, png, wish.format, wish.output_compression)
        facts = {
            "b64_json": text,
            "size": f"{image.width}x{image.height}",
            "usage": usage(),
            "anatomend_unused": [one.model_dump(mode="json") for one in image.unused],
        }
        yield _event(f"{kind}.completed", job, wish, facts)


def _event(name: str, job: Job, wish: Common, facts: dict[str, Any]) -> ServerSentEvent:
    about = {
        "type": name,
        "created_at": int(job.created_at),
        "background": "opaque",
        "output_format": wish.format,
        "quality": wish.quality if wish.quality in ("low", "medium", "high", "xhigh", "max") else "auto",
    }
    return ServerSentEvent(json.dumps(about | facts), event=name)


def _failed(request: Request, context: Context, job: Job) -> ServerSentEvent:
    if job.state.is_final:
        response = unsuccessful(request, job)
    else:
        response = from_error(NotReady("the service is stopping"), request_id_of(request))
    problem = json.loads(bytes(response.body))
    return ServerSentEvent(json.dumps({"type": "error", "error": error_of(problem)}), event="error")
