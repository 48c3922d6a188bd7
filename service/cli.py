"""The command line: ``anatomend serve | generate | repair | detect | models``.

Pictures are written as PNG. A file that is there is overwritten, as ``cp`` and ``curl -o`` do, but only by a
whole new one: a run that fails leaves the old file as it was. Exit codes: 0, 1 for a failure inside, 2 for a
mistake in the request, 3 for a model that cannot be loaded.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli_keys import keys
from service.console import (
    print_answer,
    print_detections,
    print_error,
    print_json,
    print_models,
    progress_bars,
    waiting,
)
from service.errors import AnatomendError, InvalidRequest
from service.jobs.engines import Engine, load_engine
from service.keys.binding import check_bind
from service.logs import configure_logs
from service.quiet import quiet
from service.report import Policy, RepairReport, RepairRequest
from service.settings import Settings, read_settings, unknown_variables
from service.sheet import detection_sheet, repair_sheet
from service.store.files import write_atomically
from service.store.png import encode_image
from service.wire.answers import (
    detections_answer,
    facts_of,
    image_answer,
    model_facts,
    original_png,
    picture_png,
)
from service.wire.schemas import Answer, DetectBody, GenerateBody, RepairUploadBody, validated
from service.wire.uploads import Limits, Upload, read_image, read_mask

_GRACE_S = 30
"""How long a request that runs when the service is told to stop may take to end."""

_log = logging.getLogger(__name__)

app = typer.Typer(
    name="anatomend",
    help="Generates pictures, finds malformed hands and limbs in them, and repairs only those places.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a user's mistake is one line, a programmer's a plain traceback
)
app.add_typer(keys)

Picture = Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP file.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The PNG to write.", show_default=False)]
Sheet = Annotated[Path | None, typer.Option(help="A before/boxes/after picture (PNG).")]
Json = Annotated[bool, typer.Option("--json", help="Tell the facts as JSON.")]
Seed = Annotated[int | None, typer.Option(help="Chosen and told if left out.")]
NegativePrompt = Annotated[str, typer.Option(help="What the picture must not show.")]
ConfOption = Annotated[float | None, typer.Option(help="Least score; the model's own if left out.")]
Classes = Annotated[
    list[str] | None, typer.Option("--class", help="A class to repair; may be repeated. All malformed ones.")
]
Strengths = Annotated[
    list[float] | None,
    typer.Option("--strength", help="A rung of the ladder, above 0 to 1; may be repeated."),
]
PolicyOption = Annotated[Policy | None, typer.Option(help="Redraw what is malformed, or every part.")]
MaxRegions = Annotated[int | None, typer.Option(help="At most so many regions.")]
SeedsPerAttempt = Annotated[int | None, typer.Option(help="Candidates on each rung.")]
Grow = Annotated[float | None, typer.Option(help="How far a box is grown, as a share of its diagonal.")]
FeatherPx = Annotated[int | None, typer.Option(help="Width of the mask's soft edge.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits; every expected error is one line on standard error."""
    try:
        app(args=arguments)
    except AnatomendError as error:
        print_error(error)
        raise SystemExit(error.exit_code) from None


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(envvar="HOST", help="0.0.0.0 to be reached from elsewhere.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535)] = 8000,
) -> None:
    """Run the service."""
    import uvicorn

    from service.api.app import create_app

    def stop() -> None:
        server.should_exit = True

    settings = read_settings()
    configure_logs(settings.log_format, "web")
    for name in unknown_variables():
        _log.warning("%s is no setting: anatomend config lists them", name)
    check_bind(host, settings)
    application = create_app(settings, on_failure=stop)
    desk = application.state.context.desk
    server = _drained(uvicorn.Server)(
        uvicorn.Config(
            application,
            host,
            port,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            log_config=None,
            access_log=False,  # the service logs its requests itself, with their ids and without queries
        ),
        desk.drain,
    )
    server.run()
    failure = desk.failure
    if failure is not None:
        raise failure


def _drained(server: type[Any]) -> type[Any]:
    """A server class that, told to stop, first sends away those who wait; uvicorn would wait for them."""

    class Drained(server):  # type: ignore[misc]
        def __init__(self, config: Any, drain: Callable[[], None]) -> None:
            super().__init__(config)
            self._drain = drain

        def handle_exit(self, sig: int, frame: Any) -> None:
            self._drain()
            super().handle_exit(sig, frame)

    return Drained


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What the picture shall show.", show_default=False)],
    output: Output = None,
    negative_prompt: NegativePrompt = "",
    seed: Seed = None,
    width: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    height: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="The model's own if left out.")] = None,
    num_images: Annotated[int, typer.Option(help="out.png becomes out-1.png, out-2.png …")] = 1,
    repair: Annotated[bool, typer.Option(help="Whether to repair what is malformed.")] = True,
    conf: ConfOption = None,
    classes: Classes = None,
    max_regions: MaxRegions = None,
    strengths: Strengths = None,
    seeds_per_attempt: SeedsPerAttempt = None,
    grow: Grow = None,
    feather_px: FeatherPx = None,
    policy: PolicyOption = None,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Make pictures from a prompt, and repair them where they are malformed."""
    knobs = _given(
        conf=conf,
        classes=classes,
        max_regions=max_regions,
        strengths=strengths,
        seeds_per_attempt=seeds_per_attempt,
        grow=grow,
        feather_px=feather_px,
        policy=policy,
    )
    body = validated(
        GenerateBody,
        _given(
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            width=width,
            height=height,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            num_images=num_images,
            repair=knobs if repair else False,
        ),
    )
    output = _png_path(output)
    sheet = _png_path(sheet) if sheet else None
    settings = read_settings()
    engine = _engine(settings)
    with progress_bars() as listener:
        reports = engine.generate(body.to_request(), listener)
    if len(reports) == 1:
        paths = [output]
    else:
        paths = [output.with_stem(f"{output.stem}-{i}") for i in range(1, len(reports) + 1)]
    _deliver(reports, paths, None, sheet, as_json)


@app.command()
def repair(
    picture: Picture,
    output: Output = None,
    prompt: Annotated[str, typer.Option(help="What the picture shows; it guides the redrawing.")] = "",
    negative_prompt: NegativePrompt = "",
    seed: Seed = None,
    mask: Annotated[Path | None, typer.Option(help="White = redraw; of the picture's size.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only; -o is not needed.")] = False,
    conf: ConfOption = None,
    classes: Classes = None,
    max_regions: MaxRegions = None,
    strengths: Strengths = None,
    seeds_per_attempt: SeedsPerAttempt = None,
    grow: Grow = None,
    feather_px: FeatherPx = None,
    policy: PolicyOption = None,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Redraw only the malformed places of a picture."""
    body = validated(
        RepairUploadBody,
        _given(
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            conf=conf,
            classes=classes,
            max_regions=max_regions,
            strengths=strengths,
            seeds_per_attempt=seeds_per_attempt,
            grow=grow,
            feather_px=feather_px,
            policy=policy,
        ),
    )
    target = _png_path(output) if output or not dry_run else None
    sheet = _png_path(sheet) if sheet else None
    settings = read_settings()
    upload = read_image(_read(picture), Limits.of(settings))
    wish = RepairRequest(
        image=upload.image,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        seed=body.seed,
        params=body.to_params(),
        mask=read_mask(_read(mask), Limits.of(settings), upload.image.shape[:2]) if mask else None,
        dry_run=dry_run,
    )
    engine = _engine(settings)
    with progress_bars() as listener:
        report = engine.repair(wish, listener)
    _deliver([report], [target], upload, sheet, as_json, name=str(picture))


@app.command()
def detect(picture: Picture, conf: ConfOption = None, sheet: Sheet = None, as_json: Json = False) -> None:
    """Tell what is seen in a picture, and whether it is malformed."""
    body = validated(DetectBody, _given(conf=conf))
    sheet = _png_path(sheet) if sheet else None
    settings = read_settings()
    upload = read_image(_read(picture), Limits.of(settings))
    engine = _engine(settings)
    seen = engine.detect(upload.image, body.conf)
    if sheet:
        _write(sheet, encode_image(detection_sheet(upload.image, seen, engine.class_names)))
    detections = detections_answer(seen, engine.class_names)
    if as_json:
        height, width = upload.image.shape[:2]
        rows = [detection.model_dump(mode="json") for detection in detections]
        print_json({"width": width, "height": height, "detections": rows})
    else:
        print_detections(detections)


@app.command()
def models(as_json: Json = False) -> None:
    """Tell which models are in use."""
    engine = _engine(read_settings())
    cards = [model_facts(card) for card in engine.models()]
    if as_json:
        print_json({"models": cards, "class_names": list(engine.class_names)})
    else:
        print_models(cards)


def _engine(settings: Settings) -> Engine:
    quiet(settings)
    with waiting("loading the models"):
        return load_engine(settings)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given: the others keep their one default, which is the service's."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", code="unreadable_file") from error


def _png_path(path: Path | None) -> Path:
    """Checked before the work and not after it."""
    if path is None:
        raise InvalidRequest("no output is named", code="missing_parameter", allowed="-o NAME.png")
    if path.suffix.lower() != ".png":
        raise InvalidRequest(
            f"{path}: pictures are written as PNG", code="unsupported_type", allowed="NAME.png"
        )
    if not path.parent.is_dir() or path.is_dir():
        raise InvalidRequest(
            f"cannot write {path}: {'is a folder' if path.is_dir() else 'no such folder'}",
            code="unwritable_file",
        )
    return path


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise AnatomendError(f"cannot write {path}: {error.strerror}", code="unwritable_file") from error


def _deliver(
    reports: Sequence[RepairReport],
    paths: Sequence[Path | None],
    upload: Upload | None,
    sheet: Path | None,
    as_json: bool,
    name: str = "",
) -> None:
    """Writes the pictures, then tells of them. Without a path the picture stays the one called ``name``."""
    images = []
    for report, path in zip(reports, paths, strict=True):
        png = picture_png(report, upload) if path else original_png(report, upload)
        if path:
            _write(path, png)
        url = str(path) if path else name
        masks = [None] * len(report.regions)
        images.append(image_answer(report, url, hashlib.sha256(png).hexdigest(), None, masks))
    if sheet:
        _write(sheet, encode_image(repair_sheet(reports)))
    facts: Answer = facts_of(uuid.uuid4().hex, reports, images)
    if as_json:
        print_json(facts)
    else:
        print_answer(facts)


if __name__ == "__main__":
    main()
