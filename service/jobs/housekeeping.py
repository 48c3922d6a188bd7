"""Retention: deletes old finished jobs, old pictures, and files that are no longer needed."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import anyio
import anyio.to_thread
from sqlalchemy import delete, select

from service.database.connect import Database
from service.database.schema import feedback, image_owners
from service.jobs.inbox import needed_inputs
from service.jobs.loops import repeat
from service.jobs.queue import delete_finished
from service.runtime.settings import Settings
from service.store.images import ImageStore
from service.store.retention import Retention, sweep

EVERY_S = 3600.0
_DAY_S, _GB = 86_400.0, 1_000_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The number of things that one round deleted."""

    jobs: int
    pictures: int
    size_bytes: int


async def keep_house(keeping: Housekeeping) -> None:
    """Runs a round now and then every hour, until cancelled; a round that fails is followed by another."""

    async def once() -> float:
        await anyio.to_thread.run_sync(keeping.tidy, abandon_on_cancel=True)
        return EVERY_S

    await repeat("giving up what is old", once, longest_s=EVERY_S)


class Housekeeping:
    """Deletes what is older or more than the settings allow.

    Args:
        settings: the limits of retention.
        database: the jobs and the owners of pictures.
        images: the store of generated pictures.
        inputs: the store of uploads.
    """

    def __init__(
        self, settings: Settings, database: Database, images: ImageStore, inputs: ImageStore
    ) -> None:
        self._age_s = settings.keep_days * _DAY_S or None
        self._max_bytes = round(settings.keep_gb * _GB) or None
        self._database, self._images, self._inputs = database, images, inputs

    @property
    def is_wanted(self) -> bool:
        """True if the settings ever delete anything."""
        return self._age_s is not None or self._max_bytes is not None

    def tidy(self) -> Forgotten:
        """Runs one round. Several processes may do so at once: each deletes what the others have left.

        Raises:
            DatabaseUnavailable, StorageUnavailable, OSError: what was deleted before the error stays deleted.
        """
        gone = [] if self._age_s is None else delete_finished(self._database, time.time() - self._age_s)
        limits = Retention(self._age_s, self._max_bytes)
        swept = [
            sweep(self._images, limits, self._judged()),
            sweep(self._inputs, limits, needed_inputs(self._database)),
        ]
        self._forget_owners(limits.grace_s)
        forgotten = Forgotten(
            len(gone), sum(one.pictures for one in swept), sum(one.size_bytes for one in swept)
        )
        if forgotten != Forgotten(0, 0, 0):
            _log.info(
                "given up: %d jobs, %d pictures, %.1f MB",
                forgotten.jobs,
                forgotten.pictures,
                forgotten.size_bytes / 1e6,
            )
        return forgotten

    def _judged(self) -> frozenset[str]:
        """Returns the pictures with feedback: they are kept, to learn from."""
        with self._database.read() as connection:
            return frozenset(connection.scalars(select(feedback.c.sha256).distinct()))

    def _forget_owners(self, grace_s: float) -> None:
        """Deletes the owners of missing pictures, except young ones: their files may not be there yet."""
        there = {entry.sha256 for entry in self._images.entries()}
        old = image_owners.c.created_at < time.time() - grace_s
        with self._database.write() as connection:
            for sha256 in (
                set(connection.scalars(select(image_owners.c.sha256).where(old).distinct())) - there
            ):
                connection.execute(delete(image_owners).where(image_owners.c.sha256 == sha256, old))
