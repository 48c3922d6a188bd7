"""The work on one job: reads its request and files, calls the engine, stores its answer and pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass

from detectors.detections import Mask
from service.core.job_state import JobKind
from service.core.listener import Listener
from service.core.report import RepairReport
from service.core.requests import RepairRequest
from service.engine.protocol import Engine
from service.images.decode import Upload, UploadLimits, read_image, read_mask
from service.images.encode import encode_image
from service.jobs.records import Job, Json
from service.schemas.answer_builder import answer, detections_answer
from service.schemas.answers import DetectAnswer
from service.schemas.requests import DetectBody, GenerateBody, RepairJob, validated
from service.store.images import ImageStore

IMAGE, MASK = "image", "mask"
"""Names of a job's input files."""


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a job: its answer as JSON, and the sha256 of every picture that is stored for it."""

    result: Json
    images: frozenset[str]


@dataclass(frozen=True, slots=True)
class WorkContext:
    """The parts that a worker works with."""

    engine: Engine
    inputs: ImageStore
    images: ImageStore
    limits: UploadLimits
    embed_report: bool = True


def work_on(job: Job, context: WorkContext, listener: Listener) -> Done:
    """Runs a job.

    Raises:
        AnatomendError: if the job cannot be done.
        OSError: if its pictures cannot be stored.
    """
    match job.kind:
        case JobKind.GENERATE:
            body = validated(GenerateBody, job.request)
            return _answered(job, context, context.engine.generate(body.to_request(), listener), None)
        case JobKind.REPAIR:
            upload = _upload(job, context)
            request = _repair_request(job, context, upload)
            return _answered(job, context, [context.engine.repair(request, listener)], upload)
        case JobKind.DETECT:
            return _detected(job, context)


def _repair_request(job: Job, context: WorkContext, upload: Upload) -> RepairRequest:
    body = validated(RepairJob, job.request)
    mask: Mask | None = None
    if MASK in job.inputs:
        mask = read_mask(context.inputs.get(job.inputs[MASK]), context.limits, upload.image.shape[:2])
    return RepairRequest(
        image=upload.image,
        prompt=body.prompt,
        negative_prompt=body.negative_prompt,
        seed=body.seed,
        params=body.params,
        mask=mask,
        dry_run=body.dry_run,
    )


def _upload(job: Job, context: WorkContext) -> Upload:
    return read_image(context.inputs.get(job.inputs[IMAGE]), context.limits)


def _answered(job: Job, context: WorkContext, reports: list[RepairReport], upload: Upload | None) -> Done:
    stored = set[str]()

    def url(sha256: str) -> str:
        stored.add(sha256)
        return _url(sha256)

    facts = answer(job.id, reports, context.images, url, upload, context.embed_report)
    return Done(facts.model_dump(mode="json"), frozenset(stored))


def _detected(job: Job, context: WorkContext) -> Done:
    upload = _upload(job, context)
    started = time.perf_counter()
    body = validated(DetectBody, job.request)
    seen = context.engine.detect(upload.image, body.conf)
    timings_s = {"detect": round(time.perf_counter() - started, 3)}
    heat = (
        context.images.put(encode_image(context.engine.heatmap(upload.image, seen))) if body.heatmap else None
    )
    height, width = upload.image.shape[:2]
    facts = DetectAnswer(
        id=job.id,
        width=width,
        height=height,
        detections=detections_answer(seen, context.engine.class_names),
        heatmap_url=None if heat is None else _url(heat),
        timings_s=timings_s,
    )
    return Done(facts.model_dump(mode="json"), frozenset() if heat is None else frozenset({heat}))


def _url(sha256: str) -> str:
    return f"/images/{sha256}"
