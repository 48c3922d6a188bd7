"""``anatomend config``: every setting with its value and its default."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import typer

from service.cli.console import print_json, print_note, print_settings
from service.runtime.settings import PREFIX, Settings, read_settings, unknown_variables

_HIDDEN = "***"


def config(as_json: Annotated[bool, typer.Option("--json", help="Tell the facts as JSON.")] = False) -> None:
    """Show every setting with its value, default and meaning; passwords are hidden."""
    settings = read_settings()
    rows = [_row(settings, name) for name in Settings.model_fields]
    if as_json:
        print_json({"settings": rows, "unknown": unknown_variables()})
    else:
        print_settings(rows)
        for name in unknown_variables():
            print_note(f"{name} is set, and is no setting")


def masked(value: str) -> str:
    """Removes password and query from a URL; any other text is unchanged."""
    url = urlsplit(value)
    if not url.netloc:
        return value
    about, at, host = url.netloc.rpartition("@")
    user, colon, _ = about.partition(":")
    netloc = f"{user}{colon and f':{_HIDDEN}'}{at}{host}"
    return urlunsplit(url._replace(netloc=netloc, query=_HIDDEN if url.query else ""))


def _row(settings: Settings, name: str) -> dict[str, object]:
    field = Settings.model_fields[name]
    variable = f"{PREFIX}{name.upper()}"
    return {
        "variable": variable,
        "value": masked(str(getattr(settings, name))),
        "default": str(field.default),
        "is_set": variable in {known.upper() for known in os.environ},
        "description": field.description or "",
    }
