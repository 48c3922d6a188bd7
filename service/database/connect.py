"""Connections to the database: SQLite beside the data, unless a URL is set."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Float,
    PoolProxiedConnection,
    create_engine,
    event,
    func,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError

from service.core.errors import DatabaseUnavailable, InvalidSettings
from service.database.outages import Outages
from service.runtime.private_files import make_private_file, make_private_folder
from service.runtime.settings import Settings

T = TypeVar("T")

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
BUSY_S = 5.0
"""Seconds that a writer waits for another one before it gives up."""
_SERVER_OPTIONS = {"connect_timeout": 5, "tcp_user_timeout": 10_000}
"""Seconds, and milliseconds, until an unreachable server is given up, unless the URL sets them."""
_MIGRATION_LOCK = 0x616E61746F
"""The key of the advisory lock in PostgreSQL; any number that nothing else there uses."""


class Database:
    """A pool of connections, and transactions on them. Thread-safe, but not shared between processes."""

    def __init__(self, url: str) -> None:
        """Prepares the pool; opens no connection yet.

        Raises:
            InvalidSettings: if ``url`` is not a database URL or its driver is not installed.
        """
        try:
            parsed = make_url(url)
            self._is_sqlite = parsed.get_backend_name() == "sqlite"
            self._engine = create_engine(
                parsed, pool_pre_ping=not self._is_sqlite, pool_size=16, connect_args=_options(parsed)
            )
        except (ArgumentError, ImportError) as error:
            raise InvalidSettings(
                f"ANATOMEND_DATABASE_URL: {error}", allowed="sqlite:///file or postgresql+psycopg://…"
            ) from None
        self._watching: PoolProxiedConnection | None = None
        self._outages = Outages((self._is_sqlite and parsed.database) or parsed.render_as_string())
        if self._is_sqlite:
            _prepare_sqlite(self._engine, parsed.database)

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """Returns the database of the settings; makes its folder if needed."""
        if settings.database_url:
            return cls(settings.database_url)
        try:
            make_private_folder(settings.data_dir)
        except OSError as error:
            raise InvalidSettings(f"ANATOMEND_DATA_DIR: {error}", allowed="a folder to write to") from None
        return cls(f"sqlite:///{settings.data_dir / 'anatomend.sqlite3'}")

    def migrate(self) -> None:
        """Migrates the tables, or makes them in a new database. Of concurrent callers, one does it.

        Raises:
            DatabaseUnavailable: if the database cannot be reached or written.
        """
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.write() as connection:
            if not self._is_sqlite:  # SQLite's writers wait for each other anyway
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check(self) -> None:
        """Checks a database file for damage; reads all of it.

        Raises:
            DatabaseUnavailable: ``database_damaged``, or as ``read``.
        """
        if not self._is_sqlite:  # a server checks its files itself
            return
        with self.read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise self._outages.damaged(str(found))

    @property
    def damage(self) -> DatabaseUnavailable | None:
        """The error for damage that was met since this object was made; None without damage."""
        return self._outages.damage

    @property
    def now(self) -> ColumnElement[float]:
        """The database's clock as SQL, in seconds since 1970: the same for all clients."""
        if self._is_sqlite:
            return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Float)
        return func.extract("epoch", func.clock_timestamp()).cast(Float)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begins a read-only transaction; it never waits for a writer."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begins a transaction for writes: all of them are kept, or none.

        Raises:
            DatabaseUnavailable: if the database stays locked, is full, or cannot be reached.
        """
        engine = self._engine.execution_options(anatomend_writes=True)
        with self._translated(), engine.begin() as connection:
            yield connection

    def version(self) -> int | None:
        """Returns a number that changes only with writes; None where that would be expensive.

        To be called by one thread at a time.

        Raises:
            DatabaseUnavailable: if the database cannot be reached.
        """
        if not self._is_sqlite:
            return None
        with self._translated():
            try:
                return self._data_version()
            except Exception:
                self._forget_watching()
                raise

    def _data_version(self) -> int:
        if self._watching is None:  # the number counts the writes of other connections, so it needs its own
            self._watching = self._engine.raw_connection()
        # Past SQLAlchemy, which would begin a transaction: within one the number does not change.
        cursor = self._watching.cursor()
        cursor.execute("PRAGMA data_version")
        row = cursor.fetchone()
        cursor.close()
        assert row is not None  # this pragma always has a result
        return int(row[0])

    def _forget_watching(self) -> None:
        if self._watching is not None:
            self._watching.close()
            self._watching = None

    def close(self) -> None:
        """Closes all connections."""
        self._forget_watching()
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            met = self._outages.met(error)
            if met is None:
                raise
            raise met from error
        self._outages.over()


def _options(url: URL) -> dict[str, Any]:
    """Returns the driver's options beside the URL."""
    if url.get_backend_name() == "sqlite":
        return {"timeout": BUSY_S}
    if url.get_backend_name() == "postgresql":
        return {name: value for name, value in _SERVER_OPTIONS.items() if name not in url.query}
    return {}


def in_pieces(values: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """Yields chunks of a list, each short enough for the parameters of one query."""
    everything = list(values)
    for start in range(0, len(everything), size):
        yield everything[start : start + size]


def _prepare_sqlite(engine: Engine, path: str | None) -> None:
    """Sets up SQLite: concurrent readers beside one writer, durable commits, explicit transactions."""
    if path and path != ":memory:" and not path.startswith("file:"):

        @event.listens_for(engine, "do_connect")
        def before_connect(*_: Any) -> None:
            make_private_file(Path(path))  # SQLite gives its -wal and -shm files the mode of this one

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transaction handling is switched off: see on_begin.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A reader that starts to write fails at once if another has written: writers announce it first.
        writes = connection.get_execution_options().get("anatomend_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Sets the journal mode, which the file then keeps.

    SQLite ignores its ``timeout`` if another connection sets the mode of a new file at the same moment: it
    fails at once as locked.
    """
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
