"""What the routes work with."""

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
    # A decoded upload takes up to 200 MB: never many at once. The slot is taken before its bytes are read,
    # which wait on the disk until then, and given back before its job is waited for.
    upload_slots: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(2))
    pixel_work: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))

    @property
    def limits(self) -> UploadLimits:
        """How large an upload may be."""
        return UploadLimits.of(self.settings)

    async def pixels(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Decodes or encodes in a thread, a few at a time."""
        return await anyio.to_thread.run_sync(
            functools.partial(call, *args, **kwargs), limiter=self.pixel_work
        )

    async def uploaded(self, file: UploadFile) -> bytes:
        """The bytes of a file in a form; of one that is too large no more than show it."""
        return await file.read(self.limits.max_bytes + 1)

    async def check_visible(self, sha256: str, caller: Caller) -> None:
        """Whether a caller may see a picture.

        Raises:
            NotFound: ``unknown_image``, just as if there were none.
        """
        if caller.sees is not None and not await self._in_thread(
            owns_image, self.job_service.database, sha256, caller.owner
        ):
            raise unknown_image()
        if not await self.pixels(self.images.exists, sha256):
            raise unknown_image()

    async def keep_feedback(self, sha256: str, body: FeedbackBody, caller: Caller) -> None:
        """Keeps one verdict on one region, in the place of the caller's earlier one."""
        await self._in_thread(
            keep_feedback, self.job_service.database, sha256, body.region, body.verdict, caller.owner
        )

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await anyio.to_thread.run_sync(functools.partial(call, *args, **kwargs))


def context_of(request: Request) -> Context:
    """The context that the application was made with."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


def caller_of(request: Request) -> Caller:
    """Who asks: set by the middleware that checks keys; everybody is the same one where there are no keys."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else Caller()


InContext = Annotated[Context, Depends(context_of)]
OfCaller = Annotated[Caller, Depends(caller_of)]
