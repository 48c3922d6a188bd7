"""Jobs from requests: combines checked parameters and uploaded bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from detectors.detections import Mask
from service.api.context import Context
from service.api.middleware.auth import Caller
from service.core.job_state import JobKind
from service.core.model_limits import EngineLimits
from service.core.params import RepairParams
from service.core.requests import RepairRequest
from service.core.validation import check_generate, check_repair
from service.images.decode import read_image, read_mask
from service.jobs.records import NewJob, WorkerFacts
from service.jobs.work import IMAGE, MASK
from service.schemas.costs import cost_of_generate, cost_of_repair
from service.schemas.refusals import check_gradient
from service.schemas.requests import GenerateBody, RepairJob, as_json


def generate_job(context: Context, caller: Caller, body: GenerateBody, key: str | None = None) -> NewJob:
    """Returns a job that generates pictures.

    Raises:
        InvalidRequest: if the models or the settings do not allow the request.
        NotReady, ModelUnavailable: if no worker could run it now.
    """
    worker, wish = context.job_service.worker(), body.to_request()
    _check_gradient(wish.repair, worker)
    limits = EngineLimits.of_cards(worker.models)
    check_generate(wish, worker.class_names, context.settings.max_side_px, limits)
    return NewJob(
        kind=JobKind.GENERATE,
        request=as_json(body),
        cost=cost_of_generate(body, worker.models),
        owner=caller.owner,
        idempotency_key=key,
    )


async def repair_job(
    context: Context,
    caller: Caller,
    body: RepairJob,
    image: bytes,
    mask: bytes | None = None,
    key: str | None = None,
) -> NewJob:
    """Returns a job that repairs a picture; its files are stored for the worker.

    Raises:
        InvalidImage, TooLarge: if one of the files is not an accepted picture.
        InvalidRequest, NotReady, ModelUnavailable: as for ``generate_job``.
    """
    upload = await context.pixels(read_image, image, context.limits)
    files, painted = {IMAGE: image}, None
    if mask is not None:
        files[MASK] = mask
        painted = await context.pixels(read_mask, mask, context.limits, upload.image.shape[:2])
    worker = context.job_service.worker()
    params = body.params
    _check_gradient(params, worker)
    check_repair(
        RepairRequest(
            image=upload.image,
            prompt=body.prompt,
            negative_prompt=body.negative_prompt,
            seed=body.seed,
            params=params,
            mask=painted,
        ),
        worker.class_names,
        EngineLimits.of_cards(worker.models),
    )
    cost = cost_of_repair(body, worker.models, upload.image.shape[:2], await _areas(context, painted))
    new = NewJob(
        kind=JobKind.REPAIR, request=as_json(body), cost=cost, owner=caller.owner, idempotency_key=key
    )
    return await with_files(context, new, files)


def _check_gradient(params: RepairParams | None, worker: WorkerFacts) -> None:
    """Refuses a heat map early that the detector could not make when the job runs."""
    if params is not None and params.needs_gradient:
        check_gradient(worker.models, "methods" if params.may_nudge else "mask_source")


async def _areas(context: Context, painted: Mask | None) -> int | None:
    return None if painted is None else await context.pixels(_count_areas, painted)


def _count_areas(painted: Mask) -> int:
    from detectors.masks import count_components  # OpenCV: loaded with the first mask, not at the start

    return count_components(painted)


async def with_files(context: Context, new: NewJob, files: Mapping[str, bytes]) -> NewJob:
    """Stores a job's uploaded files for the worker and returns the job that refers to them.

    Nothing is stored for a job that would be refused. A job with an Idempotency-Key may exist already, which
    shows when it is submitted; see ``handed_in``.

    Raises:
        QueueFull, InvalidRequest: if there is no room for the job.
    """
    if new.idempotency_key is None:
        await context.job_service.check(new)
    return replace(new, inputs=await context.pixels(context.inbox.put, files))
