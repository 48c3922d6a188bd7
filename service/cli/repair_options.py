"""How to repair, as options: one list for all commands that repair."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from service.cli.files import read
from service.cli.options import given
from service.core.errors import InvalidRequest
from service.core.params import MaskSource, Method, Order, Policy

REPAIR_OPTIONS: dict[str, Any] = {
    "conf": Annotated[float | None, typer.Option(help="Least score; the model's own if left out.")],
    "max_conf": Annotated[float | None, typer.Option(help="Highest score of a defect. 1.")],
    "classes": Annotated[
        list[str] | None,
        typer.Option("--class", help="A class to repair; may be repeated. All malformed ones."),
    ],
    "policy": Annotated[Policy | None, typer.Option(help="Redraw what is malformed, or every part.")],
    "min_area": Annotated[float | None, typer.Option(help="Least area, as a share of the picture. 0.")],
    "max_area": Annotated[float | None, typer.Option(help="Largest area, as a share of the picture. 1.")],
    "order": Annotated[Order | None, typer.Option(help="Which regions come first. score.")],
    "max_regions": Annotated[int | None, typer.Option(help="At most so many regions. 8.")],
    "only": Annotated[
        list[int] | None,
        typer.Option(help="The number of a region to repair, as --dry-run lists them; may be repeated. All."),
    ],
    "skip": Annotated[
        list[int] | None, typer.Option(help="The number of a region to leave alone; may be repeated.")
    ],
    "merge_iou": Annotated[
        float | None, typer.Option(help="Boxes of one part that overlap so much are one region. 0.5.")
    ],
    "methods": Annotated[
        list[Method] | None, typer.Option("--method", help="A way of drawing; may be repeated. redraw.")
    ],
    "strengths": Annotated[
        list[float] | None,
        typer.Option("--strength", help="A rung of the ladder, above 0 to 1; may be repeated. Model's own."),
    ],
    "seeds_per_attempt": Annotated[int | None, typer.Option(help="Candidates on each rung. Model's own.")],
    "repair_steps": Annotated[int | None, typer.Option(help="Of redrawing; the model's own if left out.")],
    "repair_guidance": Annotated[
        float | None, typer.Option(help="Of redrawing; the model's own if left out.")
    ],
    "grow": Annotated[
        float | None, typer.Option(help="How far a box is grown, as a share of its diagonal. 0.1.")
    ],
    "feather_px": Annotated[int | None, typer.Option(help="Width of the mask's soft edge. 6.")],
    "mask_source": Annotated[MaskSource | None, typer.Option(help="Redraw the box, or what is hot in it.")],
    "mask_threshold": Annotated[float | None, typer.Option(help="Least heat that counts. 0.4.")],
    "mask_least_share": Annotated[
        float | None, typer.Option(help="Hot places below this share of the largest are dropped. 0.1.")
    ],
    "params": Annotated[
        str | None,
        typer.Option(
            help="More of the repair object as JSON, or @FILE; options go before it.",
            metavar="JSON",
        ),
    ],
}
RepairFlags = Mapping[str, Any]
"""What of the repair object was asked for."""
NO_REPAIR_FLAGS: RepairFlags = {}
_OTHER_NAMES = {"repair_steps": "num_inference_steps", "repair_guidance": "guidance_scale"}


def with_repair_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all options of how to repair; it is handed those that were used, as ``options``."""
    own = signature(command).parameters

    def run(**options: Any) -> None:
        used = {name: options.pop(name) for name in REPAIR_OPTIONS}
        command(**options, options=_options(used))

    parameters = []
    for name, parameter in own.items():
        added = [name] if name != "knobs" else list(REPAIR_OPTIONS)
        defaults = parameter.default if name != "knobs" else None
        parameters += [Parameter(n, Parameter.KEYWORD_ONLY, default=defaults) for n in added]
    hints = get_type_hints(command, include_extras=True) | REPAIR_OPTIONS
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: hints[p.name] for p in parameters}
    annotated = [p.replace(annotation=hints[p.name]) for p in parameters]
    run.__signature__ = signature(command).replace(parameters=annotated)  # type: ignore[attr-defined]
    return run


def _options(used: dict[str, Any]) -> dict[str, Any]:
    more = _object(used.pop("params"))
    return more | {_OTHER_NAMES.get(name, name): value for name, value in given(**used).items()}


def _object(text: str | None) -> dict[str, Any]:
    """The object that JSON or a file of it spells.

    Raises:
        InvalidRequest: if it is none.
    """
    if text is None:
        return {}
    try:
        found = json.loads(read(Path(text[1:])) if text.startswith("@") else text)
    except ValueError as error:
        raise InvalidRequest(
            f"--params is no JSON: {error}", code="invalid_json", allowed='{"nudge": …}, or @FILE'
        ) from error
    if not isinstance(found, dict):
        raise InvalidRequest("--params is no object", code="invalid_json", allowed='{"nudge": …}, or @FILE')
    return found
