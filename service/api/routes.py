"""The addresses of the service and what happens at each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, UploadFile
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.api.host import EngineHost
from service.api.negotiation import JSON, PNG, prefers_png
from service.api.problems import request_id_of
from service.errors import InvalidRequest
from service.report import RepairReport, RepairRequest
from service.settings import Settings
from service.store.images import ImageStore
from service.validation import check_generate, check_repair
from service.wire.answers import Url, answer, detections_answer, headers, model_facts
from service.wire.schemas import (
    Answer,
    Conf,
    DetectAnswer,
    GenerateBody,
    HealthAnswer,
    ModelsAnswer,
    ProblemAnswer,
    RepairUploadBody,
    validated,
)
from service.wire.uploads import Limits, Upload, read_image, read_mask

_FOREVER = "public, max-age=31536000, immutable"
_FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Context:
    """What the routes work with."""

    settings: Settings
    host: EngineHost
    store: ImageStore

    @property
    def limits(self) -> Limits:
        """How large an upload may be."""
        return Limits.of(self.settings)


def context_of(request: Request) -> Context:
    """The context that the application was made with."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(context_of)]


class _TypedRoute(APIRoute):
    """Refuses a body of another media type before it is read."""

    media_type: str

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if sent != self.media_type:
                raise InvalidRequest(
                    f"the body is {sent or 'of no stated type'}",
                    code="unsupported_media_type",
                    allowed=[self.media_type],
                )
            return await handle(request)

        return checked


class JsonRoute(_TypedRoute):
    """Takes JSON."""

    media_type = JSON


class FormRoute(_TypedRoute):
    """Takes a form with files."""

    media_type = _FORM


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
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
json_routes = APIRouter(route_class=JsonRoute)
form_routes = APIRouter(route_class=FormRoute)
plain_routes = APIRouter()


@json_routes.post(
    "/generate", response_model=Answer, responses=_PICTURE | _problems(400, 413, 415, 422, 500, 503)
)
async def generate(body: GenerateBody, request: Request, context: InContext) -> Response | Answer:
    """Makes pictures from a prompt, and repairs them where they are malformed."""
    engine = context.host.engine()
    wish = body.to_request()
    # The engine checks too, but only when the request's turn has come.
    check_generate(wish, engine.class_names, context.settings.max_side_px)
    reports = await context.host.run(engine.generate, wish)
    return await _answered(request, context, reports, None)


class RepairForm(BaseModel):
    """A picture and how to repair it."""

    model_config = ConfigDict(extra="forbid")

    image: UploadFile = Field(description="PNG, JPEG or WebP.")
    params: str = Field(
        "{}", max_length=100_000, description="JSON: the repair object, prompt, negative_prompt and seed."
    )
    mask: UploadFile | None = Field(
        None, description="White = redraw, of the picture's size. Boxes are then not sought."
    )
    dry_run: bool = Field(False, description="Plan and masks only; nothing is redrawn.")


@form_routes.post(
    "/repair", response_model=Answer, responses=_PICTURE | _problems(400, 413, 415, 422, 500, 503)
)
async def repair(
    form: Annotated[RepairForm, Form(media_type=_FORM)], request: Request, context: InContext
) -> Response | Answer:
    """Redraws only the malformed places of an uploaded picture."""
    body = validated(RepairUploadBody, form.params, prefix="params")
    upload = await _uploaded(form.image, context)
    mask = None
    if form.mask is not None:
        limits = context.limits
        content = await form.mask.read(limits.max_bytes + 1)
        mask = await context.host.pixels(read_mask, content, limits, upload.image.shape[:2])
    engine = context.host.engine()
    wish = RepairRequest(
        image=upload.image,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        seed=body.seed,
        params=body.to_params(),
        mask=mask,
        dry_run=form.dry_run,
    )
    check_repair(wish, engine.class_names)
    report = await context.host.run(engine.repair, wish)
    return await _answered(request, context, [report], upload)


class DetectForm(BaseModel):
    """A picture to look at."""

    model_config = ConfigDict(extra="forbid")

    image: UploadFile = Field(description="PNG, JPEG or WebP.")
    conf: Conf | None = Field(None, description="Least score; the model's own if left out.")


@form_routes.post("/detect", response_model=DetectAnswer, responses=_problems(400, 413, 415, 422, 500, 503))
async def detect(
    form: Annotated[DetectForm, Form(media_type=_FORM)], request: Request, context: InContext
) -> DetectAnswer:
    """Boxes, classes and scores; changes nothing."""
    upload = await _uploaded(form.image, context)
    engine = context.host.engine()
    started = time.perf_counter()
    seen = await context.host.run(engine.detect, upload.image, form.conf)
    height, width = upload.image.shape[:2]
    return DetectAnswer(
        id=request_id_of(request),
        width=width,
        height=height,
        detections=detections_answer(seen, engine.class_names),
        timings_s={"detect": round(time.perf_counter() - started, 3)},
    )


@plain_routes.get(
    "/images/{sha256}",
    response_class=Response,
    responses=_PICTURE | _problems(404),
)
async def image(sha256: str, request: Request, context: InContext) -> Response:
    """A picture or a mask that this service made."""
    png = await context.host.pixels(context.store.get, sha256)
    tag = {"ETag": f'"{sha256}"', "Cache-Control": _FOREVER}
    if tag["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=tag)
    return Response(png, media_type=PNG, headers=tag)


@plain_routes.get("/models", response_model=ModelsAnswer, responses=_problems(503))
async def models(context: InContext) -> ModelsAnswer:
    """The models in use."""
    engine = context.host.engine()
    cards = [model_facts(card) for card in engine.models()]
    return ModelsAnswer(models=cards, class_names=list(engine.class_names))


@plain_routes.get("/livez", response_model=HealthAnswer)
async def livez() -> HealthAnswer:
    """Whether the process answers at all."""
    return HealthAnswer(status="alive")


@plain_routes.get("/readyz", response_model=HealthAnswer, responses=_problems(503))
async def readyz(context: InContext) -> HealthAnswer:
    """Whether the models are loaded."""
    context.host.engine()
    return HealthAnswer(status="ready")


async def _uploaded(file: UploadFile, context: Context) -> Upload:
    limits = context.limits
    content = await file.read(limits.max_bytes + 1)  # one more than allowed tells that there are too many
    return await context.host.pixels(read_image, content, limits)


async def _answered(
    request: Request, context: Context, reports: list[RepairReport], upload: Upload | None
) -> Response | Answer:
    facts = await context.host.pixels(
        answer, request_id_of(request), reports, context.store, _url_under(request), upload
    )
    if not prefers_png(request.headers.get("accept", "")):
        return facts
    png = await context.host.pixels(context.store.get, facts.images[0].sha256)
    return Response(png, media_type=PNG, headers=headers(facts))


def _url_under(request: Request) -> Url:
    """Addresses without a host: right behind any proxy, whatever it calls the service."""
    prefix = request.scope.get("root_path", "")
    return lambda sha256: f"{prefix}/images/{sha256}"
