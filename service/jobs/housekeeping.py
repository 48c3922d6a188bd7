"""What is forgotten in the course of time: finished jobs, pictures, and files that nobody needs any more."""

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
    """What a round gave up."""

    jobs: int
    pictures: int
    size_bytes: int


async def keep_house(keeping: Housekeeping) -> None:
    """A round now and every hour, until it is cancelled; after a round that fails comes another."""

    async def once() -> float:
        await anyio.to_thread.run_sync(keeping.tidy, abandon_on_cancel=True)
        return EVERY_S

    await repeat("giving up what is old", once, longest_s=EVERY_S)


class Housekeeping:
    """Gives up what is too old or too much, as the settings say.

    Args:
        settings: how long and how much is kept.
        database: the jobs and whose pictures are.
        images: what the service made.
        inputs: what was uploaded to it.
    """

    def __init__(
        self, settings: Settings, database: Database, images: ImageStore, inputs: ImageStore
    ) -> None:
        self._age_s = settings.keep_days * _DAY_S or None
        self._max_bytes = round(settings.keep_gb * _GB) or None
        self._database, self._images, self._inputs = database, images, inputs

    @property
    def is_wanted(self) -> bool:
        """Whether anything is ever given up."""
        return self._age_s is not None or self._max_bytes is not None

    def tidy(self) -> Forgotten:
        """One round. Several processes may do it at once: what one has given up the other does not find.

        Raises:
            DatabaseUnavailable, StorageUnavailable, OSError: what was given up before stays so.
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
        """Pictures that somebody said something about: they are kept, to learn from."""
        with self._database.read() as connection:
            return frozenset(connection.scalars(select(feedback.c.sha256).distinct()))

    def _forget_owners(self, grace_s: float) -> None:
        """A picture that is gone belongs to nobody; a young one may only not be there yet."""
        there = {entry.sha256 for entry in self._images.entries()}
        old = image_owners.c.created_at < time.time() - grace_s
        with self._database.write() as connection:
            for sha256 in (
                set(connection.scalars(select(image_owners.c.sha256).where(old).distinct())) - there
            ):
                connection.execute(delete(image_owners).where(image_owners.c.sha256 == sha256, old))
