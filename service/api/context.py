"""The context of the routes: the parts of the service that they work with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Request, UploadFile

from service.api.middleware.auth import Caller
from service.images.decode import UploadLimits
from service.jobs.inbox import Inbox
from service.jobs.job_service import JobService
from service.jobs.picture_owners import keep_feedback, owns_image
from service.runtime.settings import Settings
from service.schemas.requests import FeedbackBody
from service.store.images import ImageStore, unknown_image

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the running service."""

    settings: Settings
    job_service: JobService
    images: ImageStore
    inputs: ImageStore
    inbox: Inbox
    # A decoded upload takes up to 200 MB: never many at once. The slot is taken before the bytes are read,
    # which wait on the disk until then, and is released before the wait for the job.
    upload_slots: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(2))
    pixel_work: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))

    @property
    def limits(self) -> UploadLimits:
        """The size limits of an upload."""
        return UploadLimits.of(self.settings)

    async def pixels(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Decodes or encodes in a thread, a few at a time."""
        return await anyio.to_thread.run_sync(
            functools.partial(call, *args, **kwargs), limiter=self.pixel_work
        )

    async def uploaded(self, file: UploadFile) -> bytes:
        """Returns the bytes of an uploaded file; of one that is too large, only enough to show that."""
        return await file.read(self.limits.max_bytes + 1)

    async def check_visible(self, sha256: str, caller: Caller) -> None:
        """Checks that a caller may see a picture.

        Raises:
            NotFound: ``unknown_image``, exactly as for a picture that does not exist.
        """
        if caller.sees is not None and not await self._in_thread(
            owns_image, self.job_service.database, sha256, caller.owner
        ):
            raise unknown_image()
        if not await self.pixels(self.images.exists, sha256):
            raise unknown_image()

    async def keep_feedback(self, sha256: str, body: FeedbackBody, caller: Caller) -> None:
        """Stores a verdict on one region, replacing the caller's earlier one."""
        await self._in_thread(
            keep_feedback, self.job_service.database, sha256, body.region, body.verdict, caller.owner
        )

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(functools.partial(call, *args, **kwargs))


def context_of(request: Request) -> Context:
    """Returns the context that the application was built with."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


def caller_of(request: Request) -> Caller:
    """Returns the caller, set by the middleware that checks keys; without keys all callers are the same."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else Caller()


InContext = Annotated[Context, Depends(context_of)]
OfCaller = Annotated[Caller, Depends(caller_of)]
