"""Metrics for Prometheus: the queue, the jobs, the worker and the requests of this process.

Counters begin at zero when the process starts, as usual; Prometheus handles the reset. Those of jobs count
the jobs of the whole database that ended since then, whichever process ran them. So several web processes on
one database report the same numbers: aggregate them with ``max``, not with ``sum``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from service.jobs.ended import EndedJob, EndedJobs
from service.jobs.job_service import JobService

_HTTP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_WORK_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_GPU_BYTES = ("total", "used", "allocated", "reserved")


class Metrics:
    """All metrics of one service, in a registry of its own.

    Args:
        job_service: the job service to report on.
        version: the version of this program.
    """

    def __init__(self, job_service: JobService, version: str) -> None:
        registry = self._registry = CollectorRegistry()
        self._ended = EndedJobs(job_service.database, time.time())
        ProcessCollector(registry=registry)
        registry.register(_Now(job_service, version))

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"anatomend_{name}", about, labels, registry=registry)

        def seconds(name: str, about: str, *labels: str, buckets: tuple[float, ...] = _WORK_S) -> Histogram:
            return Histogram(f"anatomend_{name}_seconds", about, labels, buckets=buckets, registry=registry)

        self._jobs = counter("jobs", "Jobs that ended.", "kind", "state")
        self._wait = seconds("job_wait", "From a job's submission to its last beginning.", "kind")
        self._work = seconds("job_work", "From a job's last beginning to its end.", "kind")
        self._phase = seconds("phase", "What each phase of a job took.", "phase")
        self._found = counter("regions_found", "Regions that were to be repaired.", "class_name")
        self._repaired = counter("regions_repaired", "Regions whose redrawing was accepted.", "class_name")
        self._kept = counter("regions_kept", "Regions that stayed as they were.", "class_name")
        self._attempts = counter(
            "attempts", "Redrawn candidates, by what the gate said.", "method", "verdict"
        )
        self._http = seconds(
            "http_request",
            "From a request to the end of its answer.",
            "method",
            "route",
            "status",
            buckets=_HTTP_S,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request.

        Args:
            method: GET, POST and so on.
            route: the path template of the route, so that there are few values.
            status: the status code of the answer.
            seconds: the duration of the request.
        """
        self._http.labels(method, route, str(status)).observe(seconds)

    def told(self) -> bytes:
        """Returns all metrics in Prometheus' text format. Reads the database.

        Raises:
            DatabaseUnavailable: if the database cannot be read.
        """
        for job in self._ended.new():
            self._count(job)
        return generate_latest(self._registry)

    def _count(self, job: EndedJob) -> None:
        self._jobs.labels(job.kind, job.state).inc()
        if job.started_at is not None:
            self._wait.labels(job.kind).observe(max(job.started_at - job.created_at, 0))
            self._work.labels(job.kind).observe(max(job.finished_at - job.started_at, 0))
        result: Mapping[str, Any] = job.result or {}
        for phase, spent_s in result.get("timings_s", {}).items():
            self._phase.labels(phase).observe(spent_s)
        for image in result.get("images", ()):
            for region in image["regions"]:
                self._found.labels(region["class_name"]).inc()
                settled = self._repaired if region["accepted"] else self._kept
                settled.labels(region["class_name"]).inc()
                for attempt in region["attempts"]:
                    self._attempts.labels(attempt["method"], attempt["verdict"]).inc()


class _Now(Collector):
    """The current values: read at each scrape, so never out of date."""

    def __init__(self, job_service: JobService, version: str) -> None:
        self._job_service, self._version = job_service, version

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the current values, see the base class."""
        job_service, workers = self._job_service, self._job_service.workers
        build = GaugeMetricFamily("anatomend_build_info", "What runs.", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        yield _gauge("queue_jobs", "Jobs that wait.", job_service.depth.jobs)
        yield _gauge(
            "queue_megapixel_steps", "What waits, in megapixels times steps.", job_service.depth.cost
        )
        ready = any(worker.state == "ready" for worker in workers)
        yield _gauge("worker_up", "Whether a worker with loaded models is there.", ready)
        yield _gauge("draining", "Whether the service is stopping.", job_service.draining.is_set())
        memory = GaugeMetricFamily(
            "anatomend_gpu_memory_bytes",
            "Memory of a card: in all, used by all programs, and allocated and reserved by the worker.",
            labels=["device", "kind"],
        )
        for worker in workers:
            for card in worker.gpu:
                for kind in _GPU_BYTES:
                    memory.add_metric([card["device"], kind], card[f"{kind}_bytes"])
        if memory.samples:  # none without a graphics card
            yield memory


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"anatomend_{name}", about, value=value)
