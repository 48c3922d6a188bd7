"""Answers from the engine's reports: stores the pictures, and converts facts to JSON or to headers."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python

from detectors.detections import Detections, Image
from service.core.model_card import ModelCard
from service.core.report import RepairReport, Unused
from service.images.decode import Upload
from service.images.embedded_report import with_report
from service.images.encode import Alpha, encode_image, encode_mask
from service.images.png_chunks import with_chunks
from service.schemas.answers import Answer, DetectionAnswer, ImageAnswer, RegionAnswer, UnusedAnswer
from service.schemas.embedded_facts import embedded_facts
from service.store.images import ImageStore

MAX_HEADER_BYTES = 4096
"""Many servers and clients accept 8 KiB for all headers together."""

UNUSED_HEADER = "X-Anatomend-Unused"

Url = Callable[[str], str]
"""Returns the URL of a stored picture, by its sha256."""


def answer(
    request_id: str,
    reports: Sequence[RepairReport],
    store: ImageStore,
    url: Url,
    upload: Upload | None = None,
    embed: bool = True,
) -> Answer:
    """Stores the pictures of the reports and returns the answer.

    Raises:
        OSError: if a picture cannot be stored.
    """
    told = [told_of(report, upload) for report in reports]
    return facts_of(request_id, told, [_image(report, store, url, upload, embed) for report in told])


def facts_of(request_id: str, reports: Sequence[RepairReport], images: Sequence[ImageAnswer]) -> Answer:
    """Returns one answer for all pictures of a request; seconds are added up by phase."""
    timings: Counter[str] = Counter()
    for report in reports:
        timings.update(dict(report.timings_s))
    return Answer(
        id=request_id,
        images=list(images),
        models=dict(reports[0].models),
        timings_s={phase: round(seconds, 3) for phase, seconds in timings.items()},
    )


def headers(facts: Answer) -> dict[str, str]:
    """Returns the facts of an answer's first picture as headers, for clients that requested its bytes."""
    first = facts.images[0]
    return {
        "X-Anatomend-Id": facts.id,
        "X-Anatomend-Url": first.url,
        "X-Anatomend-Sha256": first.sha256,
        "X-Anatomend-Original-Url": first.original_url or "",
        "X-Anatomend-Width": str(first.width),
        "X-Anatomend-Height": str(first.height),
        "X-Anatomend-Seed": str(first.seed),
        "X-Anatomend-Outcome": first.outcome.value,
        "X-Anatomend-Reason": first.reason,
        "X-Anatomend-Regions": _regions_header(first.regions),
        UNUSED_HEADER: unused_header(first.unused),
        "X-Anatomend-Models": json.dumps(facts.models),
        "X-Anatomend-Timings-S": json.dumps(facts.timings_s),
    }


def unused_header(unused: Sequence[UnusedAnswer]) -> str:
    """Returns the inputs without effect as a JSON list; if that is too long, only the first ones."""
    return _list_header([entry.model_dump(mode="json", exclude_defaults=True) for entry in unused])


def detections_answer(seen: Detections, class_names: Sequence[str]) -> list[DetectionAnswer]:
    """Returns the detections, most confident first."""
    ordered = seen.by_confidence()
    return [
        DetectionAnswer(
            class_name=class_names[class_id], xyxy=tuple(round(float(x), 2) for x in box), conf=float(conf)
        )
        for box, conf, class_id in zip(ordered.xyxy, ordered.conf, ordered.class_id, strict=True)
    ]


def model_facts(card: ModelCard) -> dict[str, Any]:
    """Returns the published facts of one loaded model, ready for JSON."""
    facts = to_jsonable_python(dataclasses.asdict(card))
    assert isinstance(facts, dict)
    return facts


def told_of(report: RepairReport, upload: Upload | None) -> RepairReport:
    """Adds to a report the properties of an uploaded file that its repaired picture cannot keep."""
    if upload is None or _is_kept(report, upload):
        return report
    reduced = (Unused("image", text, "the repaired file") for text in upload.reduced)
    return dataclasses.replace(report, unused=(*report.unused, *reduced))


def picture_png(
    report: RepairReport, upload: Upload | None = None, embed: bool = True, original: bytes | None = None
) -> bytes:
    """Encodes a report's picture as PNG, with the report inside if ``embed``.

    An unchanged upload is returned byte for byte, without a report. ``original`` holds the bytes of the
    picture before any repair, where they are known: they need not be encoded twice.
    """
    if upload is not None and _is_kept(report, upload):
        return original_png(report, upload) if original is None else original
    if upload is None:
        known = original if report.image is report.original else None
        png = encode_image(report.image) if known is None else known
    else:
        png = _encoded(_with_hidden_colours(report.image, upload), upload)
    return with_report(png, embedded_facts(report)) if embed else png


def original_png(report: RepairReport, upload: Upload | None = None) -> bytes:
    """Encodes the picture before any repair as PNG."""
    if upload is None:
        return encode_image(report.original)
    return upload.png or _encoded(upload.image, upload)


def image_answer(
    report: RepairReport, url: str, sha256: str, original_url: str | None, mask_urls: Sequence[str | None]
) -> ImageAnswer:
    """Returns the facts of one report, with the URLs of its pictures."""
    height, width = report.image.shape[:2]
    return ImageAnswer(
        url=url,
        sha256=sha256,
        original_url=original_url,
        width=width,
        height=height,
        seed=report.seed,
        outcome=report.outcome,
        reason=report.reason,
        regions=[
            RegionAnswer.of(outcome, mask_url)
            for outcome, mask_url in zip(report.regions, mask_urls, strict=True)
        ],
        sampling=report.sampling,
        unused=[UnusedAnswer.of(unused) for unused in report.unused],
    )


def _image(
    report: RepairReport, store: ImageStore, url: Url, upload: Upload | None, embed: bool
) -> ImageAnswer:
    before = original_png(report, upload)
    original = store.put(before)
    final = store.put(picture_png(report, upload, embed, before))
    masks = [store.put(encode_mask(outcome.region.composite_mask)) for outcome in report.regions]
    return image_answer(report, url(final), final, url(original), [url(mask) for mask in masks])


def _is_kept(report: RepairReport, upload: Upload) -> bool:
    return report.image is report.original or np.array_equal(report.image, upload.image)


def _encoded(image: Image, upload: Upload) -> bytes:
    """Encodes a picture that was made from this upload, in the colour space of its file."""
    own = image if upload.own is None else upload.own.restored(image, upload.image)
    return with_chunks(encode_image(own, upload.alpha), upload.looks)


def _with_hidden_colours(image: Image, upload: Upload) -> Image:
    """Restores the old colours under full transparency: other programs may make them visible."""
    alpha: Alpha | None = upload.alpha
    if alpha is None:
        return image
    return np.where((alpha == 0)[..., None], upload.image, image)


def _regions_header(regions: Sequence[RegionAnswer]) -> str:
    """Encodes regions as JSON; if that is too long, without attempts, and at last only the first regions."""
    entries = [region.model_dump(mode="json") for region in regions]
    text = json.dumps(entries, separators=(",", ":"))
    if len(text) > MAX_HEADER_BYTES:
        entries = [{**entry, "attempts": len(entry["attempts"])} for entry in entries]
    return _list_header(entries)


def _list_header(entries: list[dict[str, Any]]) -> str:
    """Encodes a list as JSON, cut to the length of a header."""
    text = json.dumps(entries, separators=(",", ":"))
    while len(text) > MAX_HEADER_BYTES:
        entries.pop()
        text = json.dumps(entries, separators=(",", ":"))
    return text
