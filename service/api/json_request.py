"""Requests with a JSON body, perhaps with pictures in it."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import Any, cast

import anyio
import anyio.to_thread
from fastapi import Request, UploadFile
from starlette.requests import ClientDisconnect

from service.core.errors import InvalidRequest
from service.schemas.json_text import read_json

_IN_MEMORY_BYTES = 1 << 20


class JsonRequest(Request):
    """A request whose JSON is parsed in a thread, and which frees it before the wait for its job.

    A large body waits on the disk for one of few slots: decoded it takes many times its size.

    Args:
        request: the original request.
        slots: limits the number of uploads in memory at once.
    """

    def __init__(self, request: Request, slots: anyio.Semaphore) -> None:
        super().__init__(request.scope, request.receive)
        self._slots = slots
        self._has_slot = False
        self._read: list[Any] = []

    async def read(self) -> None:
        """Reads and parses the body.

        Raises:
            Refused: as ``read_json``.
            InvalidRequest: ``incomplete_body``.
        """
        spooled = UploadFile(cast(Any, SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)))  # noqa: SIM115
        try:
            size = 0
            async for chunk in self.stream():
                await spooled.write(chunk)
                size += len(chunk)
            if size > _IN_MEMORY_BYTES:
                await self.take_slot()
            await spooled.seek(0)
            if size:
                self._read = [await anyio.to_thread.run_sync(read_json, await spooled.read())]
        except ClientDisconnect:
            raise InvalidRequest("the body ends early", code="incomplete_body", allowed="all of it") from None
        finally:
            await spooled.close()

    async def take_slot(self) -> None:
        """Waits for a slot for an upload in memory; once for each request."""
        if not self._has_slot:
            await self._slots.acquire()
            self._has_slot = True

    def release(self) -> None:
        """Releases the slot and empties the parsed body: others still hold a reference to it."""
        for value in self._read:
            if isinstance(value, (dict, list)):
                value.clear()
        if self._has_slot:
            self._has_slot = False
            self._slots.release()

    async def body(self) -> bytes:
        """Returns a placeholder: FastAPI only checks that there was a body, which is not kept."""
        return b"read" if self._read else b""

    async def json(self) -> Any:
        """Returns the parsed body."""
        return self._read[0]
