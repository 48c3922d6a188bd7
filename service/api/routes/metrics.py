"""The route that Prometheus scrapes."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.api.metrics import Metrics

metric_routes = APIRouter()


def metrics_of(request: Request) -> Metrics:
    """Returns the metrics of this application."""
    metrics = request.app.state.metrics
    assert isinstance(metrics, Metrics)
    return metrics


@metric_routes.get("/metrics", include_in_schema=False)
async def metrics(told: Annotated[Metrics, Depends(metrics_of)]) -> Response:
    """Returns all metrics, in Prometheus' text format."""
    return Response(await anyio.to_thread.run_sync(told.told), media_type=CONTENT_TYPE_LATEST)
