"""The shapes of a job's events, as they are sent and as the API document describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from service.core.job_state import JobState
from service.schemas.answers import AttemptAnswer, DetectionAnswer, JobAnswer, ProgressAnswer


class StateEvent(BaseModel):
    """The job waits, or has begun."""

    state: JobState
    position: int | None = Field(None, description="Jobs before it in the queue, while it waits.")


class PreviewEvent(BaseModel):
    """A picture on its way."""

    picture: int = Field(description="Its index in the request.")
    step: int
    image: str = Field(description="A JPEG, as a `data:` URL.")


class RegionsEvent(BaseModel):
    """The places that are to be repaired."""

    picture: int
    regions: list[DetectionAnswer]


class AttemptEvent(AttemptAnswer):
    """One candidate and what the gate said of it."""

    picture: int
    region: int = Field(description="Its index among the regions that were told.")


EVENTS: Mapping[str, type[BaseModel]] = {
    "state": StateEvent,
    "progress": ProgressAnswer,
    "preview": PreviewEvent,
    "regions": RegionsEvent,
    "attempt": AttemptEvent,
    "done": JobAnswer,
}
"""What the data of an event is, by its type. The last one is ``done``, with the job as it ended."""


def event_stream() -> dict[str, Any]:
    """The media type object of a stream of these events, after OpenAPI 3.2 (``itemSchema``: one of them)."""
    return {"itemSchema": {"oneOf": [_event(name, shape) for name, shape in EVENTS.items()]}}


def _event(name: str, shape: type[BaseModel]) -> dict[str, Any]:
    data = shape.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    data.pop("$defs", None)  # all that these shapes refer to is described for other answers, too
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
