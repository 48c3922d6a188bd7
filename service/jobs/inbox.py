"""Files that are uploaded with jobs: kept before the job is handed in, and taken back where it is refused."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from sqlalchemy import select

from service.core.job_state import JobState
from service.database.connect import Database
from service.database.schema import jobs
from service.store.images import ImageStore


class Inbox:
    """The web process's side of the inputs. To be shared between threads.

    Equal files are kept once, so one that others need, or have just put down for a job of their own, stays.

    Args:
        store: where the worker finds them.
        database: tells what waiting jobs need.
    """

    def __init__(self, store: ImageStore, database: Database) -> None:
        self._store, self._database = store, database
        self._lock = threading.Lock()
        self._on_the_way: Counter[str] = Counter()
        self._new: set[str] = set()

    def put(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Keeps the files of a job that is about to be handed in; their names become hashes.

        Raises:
            StorageFull, StorageUnavailable, OSError: as ``ImageStore.put``; none of them is then kept.
        """
        names = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        with self._lock:
            self._on_the_way.update(names.values())
        try:
            for name, content in files.items():
                is_new = not self._store.exists(names[name])
                self._store.put(content)
                if is_new:
                    with self._lock:
                        self._new.add(names[name])
        except Exception:
            self.drop(names)
            raise
        return names

    def settle(self, names: Mapping[str, str]) -> None:
        """Notes that a job was handed in: its files are its own now."""
        with self._lock:
            self._new.difference_update(names.values())
            self._arrived(names)

    def drop(self, names: Mapping[str, str]) -> None:
        """Removes the files of a job that was refused, save those that others need."""
        with self._lock:
            self._arrived(names)
            mine = {
                sha256 for sha256 in names.values() if sha256 in self._new and not self._on_the_way[sha256]
            }
            if not mine:
                return
            self._new -= mine
            for sha256 in mine - needed_inputs(self._database):
                self._store.delete(sha256)

    def _arrived(self, names: Mapping[str, str]) -> None:
        self._on_the_way.subtract(names.values())
        self._on_the_way = +self._on_the_way


def needed_inputs(database: Database) -> frozenset[str]:
    """The uploads of jobs that are not finished, by their hashes."""
    final = [state.value for state in JobState if state.is_final]
    needed = set[str]()
    with database.read() as connection:
        for text in connection.scalars(select(jobs.c.inputs).where(jobs.c.state.not_in(final))):
            with suppress(
                ValueError, AttributeError
            ):  # a row that cannot be read needs nothing: see Leases.claim
                needed |= set(json.loads(text).values())
    return frozenset(needed)
