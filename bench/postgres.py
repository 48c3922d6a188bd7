"""A PostgreSQL server made from the machine's own binaries: to be started, stopped and thrown away."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

_PLACES = "/usr/lib/postgresql/*/bin/initdb"
_USER = "postgres"
"""Who runs the server where we are root, as whom it refuses to run."""


class NoPostgres(Exception):
    """No server can be started on this machine; the text says why."""


class PostgresServer:
    """An empty server on a free port of this machine.

    Use as a context manager: on entering it is made and started, on leaving stopped and removed.
    """

    def __init__(self) -> None:
        self._binaries = _binaries()
        self._who = _who()
        self._folder = Path(tempfile.mkdtemp(prefix="anatomend-pg-"))
        self._data = str(self._folder / "data")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://anatomend@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> PostgresServer:
        try:
            if self._who:
                os.chown(self._folder, self._who["user"], self._who["group"])
            make = ("--auth=trust", "--username=anatomend", "--no-sync", "--encoding=UTF8", self._data)
            self._run("initdb", *make)
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._run("pg_ctl", "--wait", "--log=log", f"--pgdata={self._data}", f"--options={options}", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Cuts all connections off; nothing if it does not run."""
        if (Path(self._data) / "postmaster.pid").exists():
            self._run("pg_ctl", "--wait", f"--pgdata={self._data}", f"--mode={mode}", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, **self._who)  # type: ignore[call-overload]


def _binaries() -> Path:
    found = shutil.which("initdb")
    newest = max(Path("/").glob(_PLACES.lstrip("/")), default=None)
    if newest is None and found is None:
        raise NoPostgres("no PostgreSQL server on this machine")
    return newest.parent if newest is not None else Path(str(found)).parent


def _who() -> dict[str, int]:
    if os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        raise NoPostgres(f"PostgreSQL does not run as root, and there is no user {_USER}") from None
    return {"user": user.pw_uid, "group": user.pw_gid}
