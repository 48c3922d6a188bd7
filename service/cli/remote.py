"""The work done by a service, followed through its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python

from detectors.detections import Detections, Image
from service.cli.place import Made, Seen
from service.client.client import Anatomend, Result
from service.console import progress_bars, waiting
from service.jobs.records import EventType, JobEvent
from service.report import Region, RegionOutcome, RepairReport
from service.settings import Settings
from service.sheet import detection_sheet, repair_sheet
from service.store.png import encode_image
from service.wire.schemas import DetectBody, GenerateBody, ImageAnswer, ModelsAnswer, RepairUploadBody
from service.wire.uploads import Limits, read_image


class Remote:
    """See ``Place``."""

    def __init__(self, client: Anatomend) -> None:
        self._client = client

    def generate(self, body: GenerateBody) -> Made:
        """See ``Place``."""
        options = _told(body)
        with _bars() as on_event:
            return _made(self._client.generate(options.pop("prompt"), on_event=on_event, **options))

    def repair(self, picture: bytes, body: RepairUploadBody, mask: bytes | None, dry_run: bool) -> Made:
        """See ``Place``."""
        with _bars() as on_event:
            return _made(
                self._client.repair(picture, mask=mask, dry_run=dry_run, on_event=on_event, **_told(body))
            )

    def detect(self, picture: bytes, body: DetectBody) -> Seen:
        """See ``Place``."""
        with waiting("looking"):
            seen = self._client.detect(picture, conf=body.conf)
        return Seen(seen.width, seen.height, seen.detections, lambda: _detection_sheet(picture, seen.detections))

    def models(self) -> ModelsAnswer:
        """See ``Place``."""
        return self._client.models()
