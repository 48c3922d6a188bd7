"""``/sdapi/v1``: generate, redraw, follow, interrupt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import JSONResponse, Response

from service.api.context import Context, InContext, OfCaller
from service.api.job_factory import generate_job, repair_job
from service.api.json_request import JsonRequest
from service.api.middleware.auth import Caller
from service.api.routes.pictures import JsonRoute, problems
from service.api.sdapi.adetailer import Detailer, detailer_of
from service.api.sdapi.answers import answered
from service.api.sdapi.facts import FIXED, check_options, options, sd_models
from service.api.sdapi.pictures import inverted, picture_in, picture_out
from service.api.sdapi.progress import progress_of
from service.api.sdapi.shapes import Img2Img, Txt2Img, Wish
from service.api.submission import ended, result_of, unsuccessful
from service.core.job_state import JobState
from service.core.limits import MAX_FEATHER_PX
from service.core.report import Unused
from service.jobs.records import NewJob
from service.schemas.answers import Answer
from service.schemas.requests import GenerateBody, RepairJob, validated

_WHOLE = Unused("init_images", "without a mask only what is malformed is redrawn")
_MASK_ONLY = Unused("alwayson_scripts.ADetailer", "with a mask, only the mask is redrawn")

_REFUSALS = problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503)

sdapi_json_routes = APIRouter(prefix="/sdapi/v1", route_class=JsonRoute, responses=_REFUSALS)
sdapi_plain_routes = APIRouter(prefix="/sdapi/v1", responses=_REFUSALS)


@sdapi_json_routes.post("/txt2img")
async def txt2img(wish: Txt2Img, request: JsonRequest, context: InContext, caller: OfCaller) -> Response:
    """Generates pictures, and repairs malformed regions or those of an ADetailer block."""
    detailer = _detailer(wish, context)
    repairs = detailer.is_on is not False and not detailer.finds_nothing
    body = validated(
        GenerateBody,
        {
            "prompt": wish.prompt,
            "negative_prompt": wish.negative_prompt,
            "seed": wish.wanted_seed,
            **wish.sides(),
            "num_inference_steps": wish.steps,
            "guidance_scale": wish.cfg_scale,
            "num_images": wish.batch_size * wish.n_iter,
            "repair": dict(detailer.options) if repairs else False,
        },
    )
    new = generate_job(context, caller, body)
    wish.let_go()
    request.release()
    return await _answered(request, context, new, wish, detailer)


@sdapi_json_routes.post("/img2img")
async def img2img(wish: Img2Img, request: JsonRequest, context: InContext, caller: OfCaller) -> Response:
    """Redraws a picture where the mask is white; without a mask, where it is malformed."""
    detailer = _detailer(wish, context)
    has_mask, by_block = bool(wish.mask), not wish.mask and bool(detailer.is_on)
    unused = [_MASK_ONLY] if has_mask and detailer.is_on else []
    unused += [_WHOLE] if not has_mask and not detailer.is_on else []
    unused += wish.overruled() if by_block else []
    await request.take_slot()
    new = await _img2img_job(wish, detailer, context, caller)
    wish.let_go()
    request.release()
    return await _answered(request, context, new, wish, detailer, unused)


async def _img2img_job(wish: Img2Img, detailer: Detailer, context: Context, caller: Caller) -> NewJob:
    """Builds the job outside of the route, which would hold the pictures in memory during the wait."""
    image = await context.pixels(picture_in, wish.init_images[0], "init_images")
    mask = await _mask(wish, context)
    by_block = mask is None and bool(detailer.is_on)
    unasked = detailer.finds_nothing if by_block else wish.denoising_strength == 0
    body = validated(
        RepairJob,
        {
            "prompt": wish.prompt,
            "negative_prompt": wish.negative_prompt,
            "seed": wish.wanted_seed,
            "num_inference_steps": wish.steps,
            "guidance_scale": wish.cfg_scale,
            **(detailer.options if by_block else _mask_options(wish)),
            "dry_run": unasked,
        },
    )
    return await repair_job(context, caller, body, image, mask)


@sdapi_plain_routes.get("/progress")
async def progress(context: InContext, caller: OfCaller, skip_current_image: bool = False) -> dict[str, Any]:
    """Returns the progress of the caller's current job."""
    return await progress_of(context, caller, not skip_current_image)


@sdapi_plain_routes.post("/interrupt")
async def interrupt(context: InContext, caller: OfCaller) -> dict[str, Any]:
    """Cancels the caller's current job; the request that waits for it gets a 409."""
    return await _interrupted(context, caller)


@sdapi_plain_routes.post("/skip")
async def skip(context: InContext, caller: OfCaller) -> dict[str, Any]:
    """Cancels the caller's current job, as ``interrupt``: a job cannot be finished in part."""
    return await _interrupted(context, caller)


@sdapi_plain_routes.get("/sd-models")
async def models(context: InContext) -> list[dict[str, Any]]:
    """Lists the one loaded model."""
    return sd_models(context.job_service.worker())


@sdapi_plain_routes.get("/options")
async def get_options(context: InContext) -> dict[str, Any]:
    """Returns the settings that front ends read."""
    return options(context.job_service.worker())


@sdapi_json_routes.post("/options")
async def set_options(wanted: Annotated[dict[str, Any], Body()], context: InContext) -> None:
    """Accepts settings that equal the current ones."""
    check_options(wanted, context.job_service.worker())


def _fixed(name: str) -> Callable[[], Any]:
    """Returns a route for a list that front ends read and that offers no choice here."""

    async def answer() -> Any:
        return FIXED[name]

    return answer


for _name in FIXED:
    sdapi_plain_routes.add_api_route(f"/{_name}", _fixed(_name), name=_name, summary=f"Lists the {_name}.")


async def _answered(
    request: Request,
    context: Context,
    new: NewJob,
    wish: Wish,
    detailer: Detailer,
    unused: Sequence[Unused] = (),
) -> Response:
    job = await ended(request, context, new)
    if job.state is not JobState.SUCCEEDED:
        return unsuccessful(request, job)
    facts = result_of(request, job)
    assert isinstance(facts, Answer)
    pictures = [await context.pixels(_picture, context, image.sha256) for image in facts.images]
    told = [*wish.unused(facts.images[0].width, facts.images[0].height), *detailer.unused, *unused]
    return JSONResponse(answered(wish, job, facts, pictures, detailer, told))


def _detailer(wish: Wish, context: Context) -> Detailer:
    names = context.job_service.worker().class_names
    return detailer_of(wish.alwayson_scripts, names, wish.prompt, wish.negative_prompt)


def _picture(context: Context, sha256: str) -> str:
    return picture_out(context.images.get(sha256))


async def _mask(wish: Img2Img, context: Context) -> bytes | None:
    if not wish.mask:
        return None
    mask = await context.pixels(picture_in, wish.mask, "mask")
    return await context.pixels(inverted, mask, context.limits) if wish.inpainting_mask_invert else mask


def _mask_options(wish: Img2Img) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if wish.denoising_strength:
        options["strengths"] = [wish.denoising_strength]
    if wish.mask_blur is not None:
        options["feather_px"] = min(wish.mask_blur, MAX_FEATHER_PX)
    return options


async def _interrupted(context: Context, caller: Caller) -> dict[str, Any]:
    job, _ = await context.job_service.unfinished(caller.owner)
    if job is not None and job.state is JobState.RUNNING:
        await context.job_service.cancel(job.id, caller.owner)
    return {}
