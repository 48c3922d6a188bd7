"""Repair parameters as options of the command line, made from their declarations."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from service.cli.files import read
from service.cli.options import given
from service.core.constraints import Field, element_of, fields_of, is_record
from service.core.errors import InvalidRequest
from service.core.params import RepairParams

_SPELLED = {"classes": "--class", "methods": "--method", "strengths": "--strength"}
"""Options that are given once for each item, in the singular."""
_OTHER_NAMES = {"num_inference_steps": "repair_steps", "guidance_scale": "repair_guidance"}
"""New names for parameters that the generator has as well."""


def _option(declared: Field, default: object) -> Any:
    """Returns the option of a parameter: its type, and its text with its default as the help."""
    is_list = get_origin(declared.type) is tuple
    kind = list[element_of(declared)] if is_list else declared.type  # type: ignore[misc]
    names = [_SPELLED[declared.name]] if declared.name in _SPELLED else []
    text = declared.text + (" May be repeated." if is_list else "")
    if isinstance(default, (StrEnum, int, float)):
        text += f" Default: {default}."
    return Annotated[kind | None, typer.Option(*names, help=text)]


def option_of(declared: Field) -> str:
    """Returns the name of a parameter's option; empty if none can spell it."""
    if is_record(declared.type):
        return ""
    name = _OTHER_NAMES.get(declared.name, declared.name).replace("_", "-")
    return f"`{_SPELLED.get(declared.name, f'--{name}')}`"


def _options_of(params: RepairParams) -> dict[str, Any]:
    """Returns an option for each simple parameter; the others are set by ``--params``."""
    return {
        _OTHER_NAMES.get(declared.name, declared.name): _option(declared, getattr(params, declared.name))
        for declared in fields_of(RepairParams)
        if not is_record(declared.type)
    }


REPAIR_OPTIONS: dict[str, Any] = {
    **_options_of(RepairParams()),
    "params": Annotated[
        str | None,
        typer.Option(
            help="More of the repair object as JSON, or @FILE; options go before it.",
            metavar="JSON",
        ),
    ],
}
RepairFlags = Mapping[str, Any]
"""The given options of the repair, by parameter."""
NO_REPAIR_FLAGS: RepairFlags = {}


def with_repair_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds all repair options to a command, which gets the given ones as ``options``."""
    own = signature(command).parameters

    def run(**options: Any) -> None:
        used = {name: options.pop(name) for name in REPAIR_OPTIONS}
        command(**options, options=_options(used))

    parameters = []
    for name, parameter in own.items():
        added = [name] if name != "options" else list(REPAIR_OPTIONS)
        defaults = parameter.default if name != "options" else None
        parameters += [Parameter(n, Parameter.KEYWORD_ONLY, default=defaults) for n in added]
    hints = get_type_hints(command, include_extras=True) | REPAIR_OPTIONS
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: hints[p.name] for p in parameters}
    annotated = [p.replace(annotation=hints[p.name]) for p in parameters]
    run.__signature__ = signature(command).replace(parameters=annotated)  # type: ignore[attr-defined]
    return run


def _options(used: dict[str, Any]) -> dict[str, Any]:
    more = _object(used.pop("params"))
    names = {option: name for name, option in _OTHER_NAMES.items()}
    return more | {names.get(option, option): value for option, value in given(**used).items()}


def _object(text: str | None) -> dict[str, Any]:
    """Parses an object from JSON text or from a JSON file.

    Raises:
        InvalidRequest: if the text is not a JSON object.
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
