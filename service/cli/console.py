"""The output of the command line: facts on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from service.core.errors import AnatomendError
from service.core.listener import Silent
from service.keys.records import Key
from service.schemas.answers import Answer, DetectionAnswer, JobAnswer


def print_error(error: AnatomendError) -> None:
    """Prints one line: the error, and the accepted values."""
    allowed = "" if error.allowed is None else f" (allowed: {_told(error.allowed)})"
    line = f"anatomend: {error.detail}{allowed}"
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(" ".join(line.split()))


def print_json(facts: BaseModel | Mapping[str, Any]) -> None:
    """Prints the same JSON as the service answers."""
    plain = facts.model_dump(mode="json") if isinstance(facts, BaseModel) else dict(facts)
    Console(soft_wrap=True, markup=False, highlight=False).print(json.dumps(plain, indent=2))


def print_answer(facts: Answer) -> None:
    """Prints a line for each picture and each region."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for image in facts.images:
        console.print(f"{image.url}: {image.outcome.value}, {image.width}×{image.height}, seed {image.seed}")
        if image.reason:
            console.print(f"  {image.reason}")
        for region in image.regions:
            console.print(
                f"  {region.class_name} at {', '.join(map(str, region.xyxy))}: "
                f"{region.conf_before:.2f} to {region.conf_after:.2f}, {region.reason}"
            )


def print_unused(facts: Answer) -> None:
    """Prints a warning for every input without effect, on standard error."""
    told = dict.fromkeys(
        f"anatomend: warning: {one.name}{f' ({one.where})' if one.where else ''}: {one.reason}"
        for image in facts.images
        for one in image.unused
    )
    for line in told:
        print_note(line)


def print_detections(seen: Sequence[DetectionAnswer]) -> None:
    """Prints a table of detections."""
    table = Table("class", "score", "x1", "y1", "x2", "y2")
    for one in seen:
        table.add_row(one.class_name, f"{one.conf:.2f}", *(f"{side:.0f}" for side in one.xyxy))
    Console().print(table)


def print_jobs(jobs: Sequence[JobAnswer]) -> None:
    """Prints a table of jobs."""
    table = Table("id", "kind", "state", "made", "about")
    for job in jobs:
        about = str((job.problem or {}).get("detail") or job.request.get("prompt", ""))
        made = job.created_at.strftime("%Y-%m-%d %H:%M")
        table.add_row(job.id, job.kind.value, job.state.value, made, Text(about, overflow="ellipsis"))
    Console().print(table)


def print_models(cards: Sequence[Mapping[str, Any]]) -> None:
    """Prints a line for each fact of each model."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for card in cards:
        console.print(card.get("role", "model"))
        for name, value in card.items():
            if name != "role":
                console.print(f"  {name}: {_told(value)}")


def print_line(text: str) -> None:
    """Prints a plain line on standard output, for scripts to read."""
    Console(soft_wrap=True, markup=False, highlight=False).print(text)


def print_note(text: str) -> None:
    """Prints a line on standard error, for people who watch."""
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(text)


def print_keys(keys: Sequence[Key]) -> None:
    """Prints a table of keys, without the secrets."""
    table = Table("id", "name", "scopes", "made", "revoked")
    for key in keys:
        revoked = "" if key.revoked_at is None else _day(key.revoked_at)
        table.add_row(key.id, Text(key.name), ", ".join(sorted(key.scopes)), _day(key.created_at), revoked)
    Console().print(table)


def print_settings(rows: Sequence[Mapping[str, object]]) -> None:
    """Prints a paragraph for each setting and highlights the changed ones."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    for row in rows:
        default = "" if row["value"] == row["default"] else f"   (default: {row['default']})"
        console.print(f"{row['variable']}={row['value']}{default}", style="bold" if row["is_set"] else None)
        console.print(f"    {row['description']}")


class _Bars(Silent):
    """Draws a bar for each phase."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def progress(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done, total=total)


@contextmanager
def progress_bars() -> Iterator[Silent]:
    """Returns a listener that draws a bar for each phase, where standard error is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield _Bars(bars)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows a spinner during work of unknown length."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
