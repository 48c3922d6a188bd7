"""A small client: every call becomes a job that is followed to its end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx2

from service.client.failures import failure_of_job
from service.client.options import GenerateOptions, UploadOptions
from service.client.transport import Deadline, Transport, backoff_s
from service.core.errors import AnatomendError, Cancelled
from service.core.job_state import JobState
from service.jobs.records import EventType, JobEvent
from service.schemas.answers import Answer, DetectAnswer, JobAnswer, JobsAnswer, ModelsAnswer

Picture = str | Path | bytes
"""The path of a file, or its bytes: PNG, JPEG or WebP."""
OnEvent = Callable[[JobEvent], None]

_PAGE = 100
_KNOWN = frozenset(kind.value for kind in EventType)
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Result:
    """Finished pictures: the facts at once, the pixels on request."""

    answer: Answer
    _fetch: Callable[[str], bytes]

    def png(self, index: int = 0) -> bytes:
        """Returns one of the pictures."""
        return self._fetch(self.answer.images[index].sha256)

    def original_png(self, index: int = 0) -> bytes:
        """Returns the same picture before any repair."""
        image = self.answer.images[index]
        return self._fetch((image.original_url or image.sha256).rpartition("/")[2])

    def save(self, path: str | Path, index: int = 0) -> None:
        """Writes one of the pictures to a file."""
        Path(path).write_bytes(self.png(index))


class Anatomend:
    """A client of one service. Usable as a context manager; not thread-safe.

    Every call may be repeated safely, and is retried if the service is busy or the connection breaks. A call
    that is interrupted or takes too long cancels its job.

    Args:
        base_url: for example ``http://localhost:8000``.
        key: an API key, if the service requires one.
        timeout_s: the maximum duration of a call in seconds, with the time in the queue.
        transport: for tests.

    Raises (each method):
        AnatomendError: the service's refusal or failure, with the same class and code.
        Unreachable: if the service does not answer in time.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        timeout_s: float = _TIMEOUT_S,
        *,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._transport = Transport(base_url, key, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._transport.close()

    def generate(
        self, prompt: str, *, on_event: OnEvent | None = None, **options: Unpack[GenerateOptions]
    ) -> Result:
        """Generates pictures from a prompt; calls ``on_event`` with each event of the job."""
        job = self._done("/generate", on_event, json={"prompt": prompt, **options})
        return self._result(job)

    def repair(
        self,
        picture: Picture,
        *,
        mask: Picture | None = None,
        dry_run: bool = False,
        on_event: OnEvent | None = None,
        **options: Unpack[UploadOptions],
    ) -> Result:
        """Repairs a picture where it is malformed, or where the mask is white."""
        files = {"image": _bytes_of(picture)}
        if mask is not None:
            files["mask"] = _bytes_of(mask)
        fields = {"params": json.dumps(options), "dry_run": str(dry_run).lower()}
        return self._result(self._done("/repair", on_event, data=fields, files=files))

    def detect(self, picture: Picture, *, conf: float | None = None, heatmap: bool = False) -> DetectAnswer:
        """Detects body parts in a picture; ``heatmap`` adds a map of the pixels behind the scores."""
        fields = {} if conf is None else {"conf": str(conf)}
        fields |= {"heatmap": "true"} if heatmap else {}
        job = self._done("/detect", None, data=fields, files={"image": _bytes_of(picture)})
        assert isinstance(job.result, DetectAnswer)
        return job.result

    def models(self) -> ModelsAnswer:
        """Returns the loaded models."""
        return ModelsAnswer.model_validate_json(self._get("/models").content)

    def job(self, job_id: str) -> JobAnswer:
        """Returns one job."""
        return JobAnswer.model_validate_json(self._get(f"/jobs/{job_id}").content)

    def jobs(self) -> Iterator[JobAnswer]:
        """Yields the key's jobs, newest first; fetches the pages as needed."""
        before: dict[str, str] = {}
        while True:
            page = JobsAnswer.model_validate_json(
                self._get("/jobs", params={"limit": _PAGE, **before}).content
            )
            yield from page.jobs
            if page.next is None:
                return
            before = {"before": page.next}

    def cancel(self, job_id: str) -> JobAnswer:
        """Cancels a job; a finished one stays as it is."""
        answer = self._transport.ask("POST", f"/jobs/{job_id}/cancel", self._deadline())
        return JobAnswer.model_validate_json(answer.content)

    def events(self, job_id: str, after: int = 0) -> Iterator[JobEvent]:
        """Yields a job's events after ``after``, up to the last one, ``done``.

        A broken connection is opened again, and no event is repeated or left out.
        """
        deadline = self._deadline()
        for event in self._follow(job_id, after, deadline):
            deadline.renew()
            yield event

    def image(self, sha256: str) -> bytes:
        """Returns a picture or a mask that the service stores, as PNG."""
        return self._get(f"/images/{sha256}").content

    def _done(self, path: str, on_event: OnEvent | None, **content: Any) -> JobAnswer:
        """Submits a job and follows it to its end."""
        deadline = self._deadline()
        headers = {"Prefer": "respond-async", "Idempotency-Key": uuid.uuid4().hex}
        answer = self._transport.ask("POST", path, deadline, headers=headers, **content)
        # A job whose first acknowledgement was lost may have ended when it is submitted again: then 200.
        job_id = answer.headers.get("x-anatomend-job") or answer.json()["id"]
        try:
            for event in self._follow(job_id, 0, deadline):
                if on_event is not None:
                    on_event(event)
        except BaseException:
            self._abandon(job_id)
            raise
        return _succeeded(self.job(job_id))

    def _follow(self, job_id: str, after: int, deadline: Deadline) -> Iterator[JobEvent]:
        last, silent = after, 0
        while True:
            headers = {"Last-Event-ID": str(last)}
            for told in self._transport.events(f"/jobs/{job_id}/events", headers, deadline):
                silent = 0
                if told.event not in _KNOWN or not told.id.isdecimal():
                    continue  # a newer service may send more types
                last = int(told.id)
                yield JobEvent(id=last, job_id=job_id, type=EventType(told.event), data=json.loads(told.data))
                if told.event == EventType.DONE:
                    return
            silent += 1
            deadline.pause(backoff_s(silent))

    def _abandon(self, job_id: str) -> None:
        """Cancels a job that nobody waits for. Errors are ignored: the first error is the one to report."""
        try:
            self._transport.ask("POST", f"/jobs/{job_id}/cancel", Deadline(2.0))
        except AnatomendError:
            return

    def _result(self, job: JobAnswer) -> Result:
        assert isinstance(job.result, Answer)
        return Result(job.result, self.image)

    def _get(self, path: str, **content: Any) -> httpx2.Response:
        return self._transport.ask("GET", path, self._deadline(), **content)

    def _deadline(self) -> Deadline:
        return Deadline(self._timeout_s)


def _succeeded(job: JobAnswer) -> JobAnswer:
    if job.state is JobState.FAILED:
        raise failure_of_job(job.problem or {})
    if job.state is JobState.CANCELLED:
        raise Cancelled("the job was cancelled")
    return job


def _bytes_of(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()
