"""A PostgreSQL server for one test run: started from the machine's own binaries, thrown away afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

_PLACES = "/usr/lib/postgresql/*/bin/initdb"


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    newest = max(Path("/").glob(_PLACES.lstrip("/")), default=None)
    return Path(found).parent if found else newest and newest.parent


def _not_root() -> pwd.struct_passwd | None:
    """Whom to run the server as: it refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database on a server of its own; skips the test where there is none."""
    pytest.importorskip("psycopg")
    binaries, user = _binaries(), _not_root()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine")
    folder = Path(tempfile.mkdtemp(prefix="anatomend-pg-"))
    who = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        command = [str(binaries / program), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)

    data = str(folder / "data")
    try:
        run("initdb", "--auth=trust", "--username=anatomend", "--no-sync", "--encoding=UTF8", data)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        run("pg_ctl", "--wait", "--log=log", f"--pgdata={data}", f"--options={options}", "start")
        try:
            yield f"postgresql+psycopg://anatomend@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "--wait", f"--pgdata={data}", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], str]]:
    """Makes an empty database and gives its address."""
    with postgres() as server:
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        numbers = count()

        def make() -> str:
            name = f"test_{next(numbers)}"
            with engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {name}"))
            return make_url(server).set(database=name).render_as_string(hide_password=False)

        yield make
        engine.dispose()
