"""Submissions arrive one by one and are written together: the commit to the disk is the expensive part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from service.core.errors import InvalidRequest, QueueFull
from service.jobs.records import Job, NewJob

MOST_AT_ONCE = 64
"""The maximum number of jobs per write; the rest goes into the next one, so that no write is very long."""

Answers = list[tuple[Job, bool] | QueueFull | InvalidRequest]


class Intake:
    """Gathers the jobs that arrive during a write. Belongs to one event loop.

    Args:
        write: ``JobQueue.submit_all``, made awaitable.
    """

    def __init__(self, write: Callable[[Sequence[NewJob]], Awaitable[Answers]]) -> None:
        self._write = write
        self._waiting: list[tuple[NewJob, asyncio.Future[tuple[Job, bool]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Submits a job, see ``JobQueue.submit``."""
        answer: asyncio.Future[tuple[Job, bool]] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                answers: Sequence[object] = await self._write([new for new, _ in batch])
            except Exception as error:  # noqa: BLE001 - every waiting request gets the error, whatever it is
                answers = [error] * len(batch)
            for (_, answer), given in zip(batch, answers, strict=True):
                if answer.done():  # its request is gone
                    continue
                if isinstance(given, Exception):
                    answer.set_exception(given)
                else:
                    answer.set_result(given)  # type: ignore[arg-type]
