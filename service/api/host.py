"""Holds the engine: loads it beside the server's start, and lets one model call in at a time."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

from detectors.detections import Detections, Image
from service.errors import AnatomendError, ModelUnavailable, NotReady
from service.report import SILENT, GenerateRequest, Listener, ModelCard, RepairReport, RepairRequest
from service.settings import Settings

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Engine(Protocol):
    """What the edges ask of the engine."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The detector's class names by id."""
        ...

    def models(self) -> Sequence[ModelCard]:
        """The models in use."""
        ...

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Pictures from a prompt, repaired where they are malformed."""
        ...

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """One picture, repaired where it is malformed."""
        ...

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """What the detector sees."""
        ...


LoadEngine = Callable[[Settings], Engine]


def load_engine(settings: Settings) -> Engine:
    """Loads the real engine; the model libraries are imported only now, which takes seconds."""
    from service.engine import Engine as RealEngine

    return RealEngine.load(settings)


class EngineHost:
    """One engine, one thread for it, and a few for decoding pictures.

    The models share one device and its memory, so calls wait for each other. The event loop waits for none
    of them, which keeps ``/livez`` answering while a picture is sampled.

    Args:
        settings: what to load.
        load: makes the engine; called once, in the engine's own thread.
        on_failure: told, in that thread, if it could not be made.
    """

    def __init__(
        self, settings: Settings, load: LoadEngine, on_failure: Callable[[], None] | None = None
    ) -> None:
        self._settings = settings
        self._load = load
        self._on_failure = on_failure
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")
        # A decoded upload takes up to 200 MB: never many at once.
        self._pixel_work = anyio.CapacityLimiter(2)
        self._engine: Engine | None = None
        self.failure: AnatomendError | None = None

    def start(self) -> None:
        """Begins to load; returns at once."""
        self._thread.submit(self._load_or_tell)

    def stop(self) -> None:
        """Lets the running call end and drops those that wait."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def engine(self) -> Engine:
        """The loaded engine.

        Raises:
            NotReady: while it loads.
            ModelUnavailable: if it could not be loaded.
        """
        if self.failure is not None:
            # A new one each time: an exception raised again and again drags its tracebacks along.
            raise ModelUnavailable(self.failure.detail, code=self.failure.code, allowed=self.failure.allowed)
        if self._engine is None:
            raise NotReady("the models are being loaded", allowed="try again when /readyz answers 200")
        return self._engine

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Makes one model call in the engine's thread, after those that came before it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, functools.partial(call, *args))

    async def pixels(self, call: Callable[..., T], *args: object) -> T:
        """Decodes or encodes in a thread, a few at a time."""
        return await anyio.to_thread.run_sync(functools.partial(call, *args), limiter=self._pixel_work)

    def _load_or_tell(self) -> None:
        started = time.monotonic()
        try:
            self._engine = self._load(self._settings)
        except AnatomendError as error:
            self.failure = error
        except Exception:  # noqa: BLE001 - whatever a model library raises: told by /readyz, and in the log
            _log.exception("the models could not be loaded")
            self.failure = ModelUnavailable("the models could not be loaded; the log tells why")
        if self.failure is None:
            _log.info("the models are loaded after %.1f s", time.monotonic() - started)
            return
        _log.error("not ready: %s", self.failure.detail)
        if self._on_failure is not None:
            self._on_failure()
