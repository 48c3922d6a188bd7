"""The addresses of the models in use and of health checks."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.context import InContext
from service.api.routes.pictures import problems
from service.schemas.answers import HealthAnswer, ModelsAnswer

health_routes = APIRouter()


@health_routes.get("/models", response_model=ModelsAnswer, responses=problems(401, 503))
async def models(context: InContext) -> ModelsAnswer:
    """Returns the loaded models."""
    worker = context.job_service.worker()
    return ModelsAnswer(models=[dict(card) for card in worker.models], class_names=list(worker.class_names))


@health_routes.get("/livez", response_model=HealthAnswer, responses=problems(503))
async def livez(context: InContext) -> HealthAnswer:
    """Checks that the process answers and had a worker lately; if it fails, restart the service."""
    context.job_service.check_alive()
    return HealthAnswer(status="alive")


@health_routes.get("/readyz", response_model=HealthAnswer, responses=problems(503))
async def readyz(context: InContext) -> HealthAnswer:
    """Checks that a request would be admitted: models loaded, queue not full, not stopping."""
    context.job_service.check_ready()
    return HealthAnswer(status="ready")


@health_routes.get("/startupz", response_model=HealthAnswer, responses=problems(503))
async def startupz(context: InContext) -> HealthAnswer:
    """Checks that the models were loaded once; until then a start may take long."""
    context.job_service.check_started()
    return HealthAnswer(status="started")
