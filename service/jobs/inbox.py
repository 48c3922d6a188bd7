"""Uploaded inputs: stored before their job is submitted, and removed if the job is refused."""

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
    """Stores the inputs of jobs in the web process. Thread-safe.

    Equal files are stored once, so a file that another job needs, or has just stored for itself, is kept.

    Args:
        store: the store from which the worker reads.
        database: the jobs, for the inputs that are still needed.
    """

    def __init__(self, store: ImageStore, database: Database) -> None:
        self._store, self._database = store, database
        self._lock = threading.Lock()
        self._on_the_way: Counter[str] = Counter()
        self._new: set[str] = set()

    def put(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Stores the files of a job that is about to be submitted; returns the hash of each by its name.

        Raises:
            StorageFull, StorageUnavailable, OSError: as ``ImageStore.put``; then none of the files is kept.
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
        """Records that the job was submitted: the job table now refers to its files."""
        with self._lock:
            self._new.difference_update(names.values())
            self._arrived(names)

    def drop(self, names: Mapping[str, str]) -> None:
        """Removes the files of a refused job, except those that other jobs need."""
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
    """Returns the hashes of the uploads of unfinished jobs."""
    final = [state.value for state in JobState if state.is_final]
    needed = set[str]()
    with database.read() as connection:
        for text in connection.scalars(select(jobs.c.inputs).where(jobs.c.state.not_in(final))):
            with suppress(ValueError, AttributeError):  # an unreadable row needs no files: see Leases.claim
                needed |= set(json.loads(text).values())
    return frozenset(needed)
