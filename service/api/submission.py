"""Submission of a request as a job, and the job's answer, at once or later."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
from fastapi import Request
from opentelemetry import trace
from starlette.responses import JSONResponse, Response

from service.api.context import Context
from service.api.negotiation import PNG, preferences_of, prefers_png
from service.api.problems import from_error, from_stored, request_id_of
from service.core.errors import AnatomendError, Cancelled, InvalidRequest, NotReady, Unreadable
from service.core.job_state import JobState
from service.jobs.records import Job, Json, NewJob
from service.jobs.rows import unreadable
from service.schemas.answer_builder import headers
from service.schemas.answers import Answer, DetectAnswer, JobAnswer, ProgressAnswer

MAX_IDEMPOTENCY_KEY_CHARS = 255

_log = logging.getLogger(__name__)


async def submitted(request: Request, context: Context, new: NewJob) -> Response:
    """Submits a job and answers with its result, or with 202 and its URL.

    A job is cancelled if its client goes away, unless the client sent an Idempotency-Key (it means to come
    back) or ``Prefer: keep-running``.
    """
    job = await handed_in(context, new)
    wishes = preferences_of(request.headers)
    if not wishes.respond_async and not job.state.is_final:
        stays = wishes.keep_running or new.idempotency_key is not None
        limit_s = context.settings.sync_wait_s
        timeout_s = limit_s if wishes.wait_s is None else min(limit_s, wishes.wait_s)
        job = await _waited(request, context, job, timeout_s, stays)
    return await finished(request, context, job) if job.state.is_final else accepted(request, job)


async def ended(request: Request, context: Context, new: NewJob) -> Job:
    """Submits a job and waits for its end, however long: for clients that cannot poll.

    Raises:
        NotReady: if the service stops before that; the job is kept and continues later.
    """
    job = await handed_in(context, new)
    if not job.state.is_final:
        job = await _waited(request, context, job, math.inf, new.idempotency_key is not None)
    if not job.state.is_final:
        raise NotReady("the service is stopping", allowed="try again when /readyz answers 200")
    return job


async def handed_in(context: Context, new: NewJob) -> Job:
    """Submits a job; returns the new one, or the earlier one of the same idempotency key.

    If the job is refused, its stored files are removed.
    """
    try:
        job, is_new = await context.job_service.submit(new)
    except AnatomendError:
        await context.pixels(context.inbox.drop, new.inputs)
        raise
    except BaseException:  # for example a client that went away: the job may exist all the same
        context.inbox.settle(new.inputs)
        raise
    context.inbox.settle(new.inputs)
    # The worker knows no requests: here the two ids are linked, in the log and in the trace.
    trace.get_current_span().set_attribute("anatomend.job_id", job.id)
    if is_new:
        _log.info("job %s: %s is queued", job.id, job.kind.value, extra={"job_id": job.id, "key": new.owner})
    return job


def idempotency_key_of(request: Request) -> str | None:
    """Returns the request's ``Idempotency-Key``.

    Raises:
        InvalidRequest: ``invalid_parameter`` if it is empty or too long.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARS:
        raise InvalidRequest(
            "the Idempotency-Key cannot be used", code="invalid_parameter",
            allowed=f"1 to {MAX_IDEMPOTENCY_KEY_CHARS} characters",
        )  # fmt: skip
    return key


def accepted(request: Request, job: Job) -> Response:
    """Returns 202 with the URL of the job."""
    prefix = request.scope.get("root_path", "")
    where = {"Location": f"{prefix}/jobs/{job.id}", "Preference-Applied": "respond-async"}
    return JSONResponse(job_answer(request, job).model_dump(mode="json"), 202, where)


async def finished(request: Request, context: Context, job: Job) -> Response:
    """Returns the answer to a job that has ended."""
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful(request, job)
    facts = result_of(request, job)
    about = {"X-Anatomend-Job": job.id}
    if isinstance(facts, Answer) and prefers_png(request.headers.get("accept", "")):
        png = await context.pixels(context.images.get, facts.images[0].sha256)
        return Response(png, media_type=PNG, headers=about | headers(facts))
    assert facts is not None
    return JSONResponse(facts.model_dump(mode="json"), headers=about)


def unsuccessful(request: Request, job: Job) -> Response:
    """Returns the problem of a job that was cancelled or has failed."""
    if job.state is JobState.CANCELLED:
        return from_error(Cancelled("the job was cancelled", allowed="retry it"), request_id_of(request))
    return from_stored(job.problem or {}, request_id_of(request))


def job_answers(request: Request, jobs: Iterable[Job]) -> Iterator[JobAnswer]:
    """Yields the answers for several jobs; an unreadable job is logged and left out."""
    for job in jobs:
        try:
            yield job_answer(request, job)
        except Unreadable as error:
            _log.error("job %s cannot be told and is left out", job.id, exc_info=error)


def job_answer(request: Request, job: Job, progress: Json | None = None) -> JobAnswer:
    """Returns a job in the form of ``GET /jobs/{id}``.

    Raises:
        Unreadable: if its stored request or result is not of the expected shape.
    """
    try:
        return _job_answer(request, job, progress)
    except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise unreadable(job.id) from error


def _job_answer(request: Request, job: Job, progress: Json | None) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        state=job.state,
        created_at=_time(job.created_at),
        started_at=None if job.started_at is None else _time(job.started_at),
        finished_at=None if job.finished_at is None else _time(job.finished_at),
        position=job.position,
        progress=None if progress is None else ProgressAnswer.model_validate(progress),
        request={**job.request, **_uploads_of(request, job)},
        result=result_of(request, job),
        problem=None if job.problem is None else dict(job.problem),
    )


def _uploads_of(request: Request, job: Job) -> dict[str, str]:
    """Returns the URLs of a job's uploaded files: ``image_url`` and perhaps ``mask_url``."""
    prefix = request.scope.get("root_path", "")
    return {f"{name}_url": f"{prefix}/jobs/{job.id}/inputs/{name}" for name in job.inputs}


def result_of(request: Request, job: Job) -> Answer | DetectAnswer | None:
    """Returns a job's answer, with URLs as the client sees them: also right behind a proxy."""
    if job.result is None:
        return None
    if "images" not in job.result:
        return DetectAnswer.model_validate(job.result)
    return Answer.model_validate(_prefixed(job.result, request.scope.get("root_path", "")))


def _prefixed(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {
            name: f"{prefix}{inner}" if name.endswith("url") and inner else _prefixed(inner, prefix)
            for name, inner in value.items()
        }
    return [_prefixed(inner, prefix) for inner in value] if isinstance(value, list) else value


async def _waited(request: Request, context: Context, job: Job, timeout_s: float, stays: bool) -> Job:
    result, failure = job, None
    async with anyio.create_task_group() as group:

        async def watch_client() -> None:
            # The body was read, so the next message is the client's disconnect: no polling is needed.
            while (await request.receive())["type"] != "http.disconnect":
                pass
            if not stays:
                await context.job_service.cancel(job.id, None)
            group.cancel_scope.cancel()

        group.start_soon(watch_client)
        try:
            result = await context.job_service.wait(job.id, timeout_s)
        except AnatomendError as error:  # raised outside of the group, which would wrap it
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
