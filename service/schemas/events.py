"""Schemas of a job's events, as they are sent and as the OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from service.core.job_state import JobState
from service.schemas.answers import AttemptAnswer, DetectionAnswer, JobAnswer, ProgressAnswer


class StateEvent(BaseModel):
    """The job is queued, or has started."""

    state: JobState
    position: int | None = Field(None, description="The number of jobs before it, while it is queued.")


class PreviewEvent(BaseModel):
    """An unfinished picture."""

    picture: int = Field(description="The picture's index in the request.")
    step: int
    image: str = Field(description="A JPEG, as a `data:` URL.")


class RegionsEvent(BaseModel):
    """The regions that are to be repaired."""

    picture: int
    regions: list[DetectionAnswer]


class AttemptEvent(AttemptAnswer):
    """One candidate and the gate's verdict on it."""

    picture: int
    region: int = Field(description="The region's index in the last `regions` event.")


EVENTS: Mapping[str, type[BaseModel]] = {
    "state": StateEvent,
    "progress": ProgressAnswer,
    "preview": PreviewEvent,
    "regions": RegionsEvent,
    "attempt": AttemptEvent,
    "done": JobAnswer,
}
"""Schemas of the events' data by type. The last event is ``done``, with the finished job."""


def event_stream() -> dict[str, Any]:
    """Returns the media type object of a stream of these events (OpenAPI 3.2, with ``itemSchema``)."""
    return {"itemSchema": {"oneOf": [_event(name, shape) for name, shape in EVENTS.items()]}}


def _event(name: str, shape: type[BaseModel]) -> dict[str, Any]:
    data = shape.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    data.pop("$defs", None)  # the schemas that these refer to are described for other answers, too
    return {
        "type": "object",
        "description": shape.__doc__,
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string", "description": "What to send as `Last-Event-ID` to go on from here."},
            "event": {"const": name},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
    }
