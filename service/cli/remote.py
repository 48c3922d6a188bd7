"""The backend of a service, followed through its events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from detectors.detections import Detections, Image
from service.cli.backend import Made, Seen
from service.cli.console import progress_bars, waiting
from service.client.client import Anatomend, OnEvent, Result
from service.core.regions import Region
from service.core.report import RegionOutcome, RepairReport
from service.images.decode import UploadLimits, read_image
from service.images.encode import encode_image
from service.images.report_sheet import detection_sheet, repair_sheet
from service.jobs.records import EventType, JobEvent
from service.schemas.answers import DetectionAnswer, ImageAnswer, ModelsAnswer
from service.schemas.requests import DetectBody, GenerateBody, RepairUpload, as_json

_ANY_SIZE = UploadLimits(max_bytes=1 << 30, max_pixels=1 << 28)
"""No further limits: the service accepted the picture before, or made it."""


class Remote:
    """The backend that sends the work to a service."""

    def __init__(self, client: Anatomend) -> None:
        self._client = client

    def generate(self, body: GenerateBody) -> Made:
        """Generates pictures, see ``Backend``."""
        options = as_json(body, only_changed=True)
        with _bars() as on_event:
            return _made(self._client.generate(options.pop("prompt"), on_event=on_event, **options))

    def repair(self, picture: bytes, body: RepairUpload, mask: bytes | None, dry_run: bool) -> Made:
        """Repairs a picture, see ``Backend``."""
        options = as_json(body, only_changed=True)
        with _bars() as on_event:
            return _made(
                self._client.repair(picture, mask=mask, dry_run=dry_run, on_event=on_event, **options)
            )

    def detect(self, picture: bytes, body: DetectBody) -> Seen:
        """Detects body parts, see ``Backend``."""
        with waiting("looking"):
            seen = self._client.detect(picture, conf=body.conf, heatmap=body.heatmap)
            url = seen.heatmap_url
            heat = None if url is None else self._client.image(url.rpartition("/")[2])
        rows = seen.detections
        return Seen(seen.width, seen.height, rows, lambda: _detection_sheet(_pixels(picture), rows), heat)

    def models(self) -> ModelsAnswer:
        """Returns the loaded models, see ``Backend``."""
        return self._client.models()


@contextmanager
def _bars() -> Iterator[OnEvent]:
    """Draws the progress from a job's events."""
    with progress_bars() as listener:

        def draw(event: JobEvent) -> None:
            if event.type is EventType.PROGRESS:
                listener.progress(event.data["phase"], event.data["done"], event.data["total"])

        yield draw


def _made(result: Result) -> Made:
    """Returns the same facts as a run on this machine: without the service's URLs."""
    images = [
        image.model_copy(
            update={
                "original_url": None,
                "regions": [region.model_copy(update={"mask_url": None}) for region in image.regions],
            }
        )
        for image in result.answer.images
    ]
    pngs = [result.png(index) for index in range(len(images))]

    def sheet() -> bytes:
        originals = [result.original_png(index) for index in range(len(images))]
        rows = zip(images, pngs, originals, strict=True)
        return encode_image(repair_sheet([_report(*row) for row in rows]))

    return Made(result.answer.model_copy(update={"images": images}), pngs, sheet)


def _report(facts: ImageAnswer, png: bytes, original: bytes) -> RepairReport:
    """Rebuilds the part of the report that a sheet shows; masks are not included."""
    image = _pixels(png)
    empty = np.zeros(image.shape[:2], np.float32)
    regions = tuple(
        RegionOutcome(
            region=Region(
                xyxy=row.xyxy,
                class_name=row.class_name,
                conf=row.conf_before,
                denoise_mask=empty,
                composite_mask=empty,
            ),
            attempts=(),
            accepted=row.accepted,
            reason=row.reason,
            conf_after=row.conf_after,
        )
        for row in facts.regions
    )
    return RepairReport(
        image=image,
        original=_pixels(original),
        seed=facts.seed,
        outcome=facts.outcome,
        regions=regions,
        models={},
        timings_s={},
    )


def _detection_sheet(image: Image, rows: Sequence[DetectionAnswer]) -> bytes:
    names = sorted({row.class_name for row in rows})
    seen = Detections.of(
        [row.xyxy for row in rows], [row.conf for row in rows], [names.index(row.class_name) for row in rows]
    )
    return encode_image(detection_sheet(image, seen, names))


def _pixels(content: bytes) -> Image:
    return read_image(content, _ANY_SIZE).image
