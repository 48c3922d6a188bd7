"""The table of repair parameters in the docs, made from their declarations: ``make docs`` writes it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from service.cli.repair_options import option_of
from service.core.constraints import Field, fields_of, limits_of
from service.core.params import RepairParams

BEGIN, END = "<!-- repair parameters: written by make docs -->", "<!-- end of repair parameters -->"


def parameter_table() -> str:
    """Returns the table as Markdown: name, option, default, limits and text of each parameter."""
    head = ["| Parameter | Option | Default | Allowed | |", "|---|---|---|---|---|"]
    return "\n".join([*head, *_rows()])


def with_table(text: str) -> str:
    """Returns a document with the table between its two marks renewed.

    Raises:
        ValueError: if the marks are not there.
    """
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{parameter_table()}\n{END}{after}"


def _rows() -> Iterator[str]:
    defaults = RepairParams()
    for declared in fields_of(RepairParams):
        option = option_of(declared) or "in `--params`"
        default = _told(getattr(defaults, declared.name))
        yield f"| `{declared.name}` | {option} | {default} | {_allowed(declared)} | {declared.text} |"


def _allowed(declared: Field) -> str:
    kind: Any = declared.type
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{value}`" for value in kind)
    return limits_of(declared)


def _told(value: Any) -> str:
    if value is None:
        return "the model's own"
    if isinstance(value, (tuple, dict)):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{value}`" if isinstance(value, (StrEnum, int, float)) else "see `/docs`"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(with_table(document.read_text("utf-8")), "utf-8")
