"""The commands: convert options to requests, call a backend, and write files and text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from service.cli.backend import Backend, Made
from service.cli.config import config
from service.cli.console import (
    print_answer,
    print_detections,
    print_error,
    print_jobs,
    print_json,
    print_models,
    print_unused,
)
from service.cli.files import numbered, png_path, read, write
from service.cli.keys import keys
from service.cli.local import Local
from service.cli.options import (
    BestOf,
    ConfOption,
    InFlightSwitch,
    Json,
    Key,
    MaxRestarts,
    NegativePrompt,
    Output,
    Picture,
    Seed,
    ServerUrl,
    Sheet,
    StopSwitch,
    WatchAt,
    WatchSwitch,
    given,
)
from service.cli.remote import Remote
from service.cli.repair_options import NO_REPAIR_FLAGS, RepairFlags, with_repair_options
from service.cli.serving import serve
from service.cli.watch_options import watching
from service.client import Anatomend
from service.core.errors import AnatomendError, InvalidRequest
from service.runtime.settings import read_settings
from service.schemas.requests import DetectBody, GenerateBody, RepairUpload, validated

app = typer.Typer(
    name="anatomend",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a user's mistake is one line, a programmer's a plain traceback
)
app.add_typer(keys)
app.command()(serve)
app.command()(config)


@app.callback()
def choose(context: typer.Context, server: ServerUrl = None, key: Key = None) -> None:
    """Generates pictures, finds malformed hands and limbs in them, and repairs only those regions."""
    context.obj = Anatomend(server, key) if server else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits; every expected error is one line on standard error."""
    try:
        app(args=arguments)
    except AnatomendError as error:
        print_error(error)
        raise SystemExit(error.exit_code) from None


@app.command()
@with_repair_options
def generate(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What the picture shall show.", show_default=False)],
    output: Output = None,
    negative_prompt: NegativePrompt = "",
    seed: Seed = None,
    width: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    height: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="The model's own if left out.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="The model's own if left out.")] = None,
    num_images: Annotated[int, typer.Option(help="out.png becomes out-1.png, out-2.png …")] = 1,
    best_of: BestOf = None,
    watch: WatchSwitch = None,
    watch_at: WatchAt = None,
    watch_stop: StopSwitch = None,
    max_restarts: MaxRestarts = None,
    in_flight: InFlightSwitch = None,
    repair: Annotated[bool, typer.Option(help="Whether to repair what is malformed.")] = True,
    options: RepairFlags = NO_REPAIR_FLAGS,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Generate pictures from a prompt, and repair their malformed regions."""
    body = validated(
        GenerateBody,
        given(
            prompt=prompt,
            negative_prompt=negative_prompt,
            seed=seed,
            width=width,
            height=height,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            num_images=num_images,
            best_of=best_of,
            watch=watching(watch, watch_at, watch_stop, max_restarts, in_flight),
            repair=options if repair else False,
        ),
    )
    output = png_path(output)
    sheet = png_path(sheet) if sheet else None
    made = _backend(context).generate(body)
    _deliver(made, numbered(output, len(made.pngs)), sheet, as_json)


@app.command()
@with_repair_options
def repair(
    context: typer.Context,
    picture: Picture,
    output: Output = None,
    prompt: Annotated[str, typer.Option(help="What the picture shows; it guides the redrawing.")] = "",
    negative_prompt: NegativePrompt = "",
    seed: Seed = None,
    mask: Annotated[Path | None, typer.Option(help="White = redraw; of the picture's size.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only; -o is not needed.")] = False,
    options: RepairFlags = NO_REPAIR_FLAGS,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Redraw only the malformed regions of a picture."""
    body = validated(
        RepairUpload,
        {**options, **given(prompt=prompt, negative_prompt=negative_prompt, seed=seed)},
    )
    target = png_path(output) if output or not dry_run else None
    sheet = png_path(sheet) if sheet else None
    made = _backend(context).repair(read(picture), body, read(mask) if mask else None, dry_run)
    _deliver(made, [target], sheet, as_json, name=str(picture))


@app.command()
def detect(
    context: typer.Context,
    picture: Picture,
    conf: ConfOption = None,
    heatmap: Annotated[Path | None, typer.Option(help="Where its scores come from, over it (PNG).")] = None,
    sheet: Sheet = None,
    as_json: Json = False,
) -> None:
    """Detect body parts in a picture, well-formed and malformed ones."""
    body = validated(DetectBody, given(conf=conf, heatmap=heatmap is not None))
    sheet = png_path(sheet) if sheet else None
    heatmap = png_path(heatmap) if heatmap else None
    seen = _backend(context).detect(read(picture), body)
    if heatmap and seen.heatmap is not None:
        write(heatmap, seen.heatmap)
    if sheet:
        write(sheet, seen.sheet())
    if as_json:
        rows = [detection.model_dump(mode="json") for detection in seen.detections]
        print_json({"width": seen.width, "height": seen.height, "detections": rows})
    else:
        print_detections(seen.detections)


@app.command()
def models(context: typer.Context, as_json: Json = False) -> None:
    """Show the loaded models."""
    facts = _backend(context).models()
    if as_json:
        print_json(facts)
    else:
        print_models(facts.models)


@app.command()
def jobs(
    context: typer.Context,
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this one.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End that one.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List the jobs of a service; needs --server."""
    client = context.obj
    if not isinstance(client, Anatomend):
        raise InvalidRequest("no service is named", code="missing_parameter", allowed="--server URL")
    if job_id is None:
        if cancel:
            raise InvalidRequest("no job is named", code="missing_parameter", allowed="ID --cancel")
        found = list(islice(client.jobs(), limit))
    else:
        found = [client.cancel(job_id) if cancel else client.job(job_id)]
    if as_json:
        rows = [job.model_dump(mode="json") for job in found]
        print_json({"jobs": rows} if job_id is None else rows[0])
    else:
        print_jobs(found)


def _backend(context: typer.Context) -> Backend:
    return Local(read_settings()) if context.obj is None else Remote(context.obj)


def _deliver(
    made: Made, paths: Sequence[Path | None], sheet: Path | None, as_json: bool, name: str = ""
) -> None:
    """Writes the pictures, then prints the facts. Without a path the picture keeps the name ``name``."""
    images = []
    for image, png, path in zip(made.answer.images, made.pngs, paths, strict=True):
        if path:
            write(path, png)
        images.append(image.model_copy(update={"url": str(path) if path else name}))
    if sheet:
        write(sheet, made.sheet())
    facts = made.answer.model_copy(update={"images": images})
    print_unused(facts)
    if as_json:
        print_json(facts)
    else:
        print_answer(facts)
