"""``anatomend keys``: the API keys of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from service.cli.console import print_json, print_keys, print_line, print_note
from service.database.connect import Database
from service.keys.records import Key, Scope, add_key, all_keys, revoke_key
from service.runtime.settings import read_settings

keys = typer.Typer(
    name="keys",
    help="Make, list and revoke API keys. As soon as there is one, nobody gets in without.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Tell the facts as JSON.")]


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose it is, for the list.", show_default=False)],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="use, or admin: everybody's jobs, and the metrics. [use]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show its secret, only this once."""
    with _database() as database:
        key, secret = add_key(database, name, scope or [Scope.USE])
    if as_json:
        print_json({**_facts(key), "key": secret})
        return
    print_line(secret)
    print_note(
        f"id {key.id}, scopes {_told(key)}. It is not kept: note it down now, it cannot be shown again."
    )


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the keys, without their secrets."""
    with _database() as database:
        found = all_keys(database)
    if as_json:
        print_json({"keys": [_facts(key) for key in found]})
    else:
        print_keys(found)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="From the list.", show_default=False)],
) -> None:
    """Revoke a key, within a second and for good."""
    with _database() as database:
        key = revoke_key(database, key_id)
    print_note(f"{key.id} ({key.name}) is revoked")


@contextmanager
def _database() -> Iterator[Database]:
    """Opens the database and migrates it, so that keys can be made before the first start."""
    database = Database.of(read_settings())
    try:
        database.migrate()
        yield database
    finally:
        database.close()


def _facts(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _told(key: Key) -> str:
    return ", ".join(sorted(key.scopes))
