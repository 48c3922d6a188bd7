"""Arguments and options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Picture = Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP file.", show_default=False)]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The PNG to write.", show_default=False)]
Sheet = Annotated[Path | None, typer.Option(help="A before/boxes/after picture (PNG).")]
Json = Annotated[bool, typer.Option("--json", help="Tell the facts as JSON.")]
Seed = Annotated[int | None, typer.Option(help="Chosen and told if left out.")]
NegativePrompt = Annotated[str, typer.Option(help="What the picture must not show.")]
ConfOption = Annotated[float | None, typer.Option(help="Least score; the model's own if left out.")]
BestOf = Annotated[int | None, typer.Option(help="Candidates for each picture; the best is taken. 1.")]
WatchSwitch = Annotated[
    bool | None,
    typer.Option("--watch/--no-watch", help="Look while the picture is made, stop hopeless runs. Off."),
]
WatchAt = Annotated[
    list[float] | None,
    typer.Option(
        "--watch-at",
        help="A share of the run at which to look; may be repeated. As fitted, else 0.3, 0.5, 0.7.",
    ),
]
StopSwitch = Annotated[
    bool | None, typer.Option("--watch-stop/--no-watch-stop", help="Stop hopeless runs, or only tell. On.")
]
MaxRestarts = Annotated[
    int | None, typer.Option(help="So many more seeds while no run came through; the last is finished. 3.")
]
InFlightSwitch = Annotated[
    bool | None,
    typer.Option("--in-flight/--no-in-flight", help="Sample one small malformed place again. Off."),
]
ServerUrl = Annotated[
    str | None,
    typer.Option(envvar="ANATOMEND_SERVER", help="Let this service do the work.", metavar="URL"),
]
Key = Annotated[
    str | None,
    typer.Option(
        envvar="ANATOMEND_KEY", help="The key for it; better set by the variable.", show_envvar=True
    ),
]


def given(**options: Any) -> dict[str, Any]:
    """Returns the options that were given: the others keep the service's default."""
    return {name: value for name, value in options.items() if value is not None and value != []}
