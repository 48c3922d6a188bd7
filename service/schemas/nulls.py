"""Support for clients of other services, which send ``null`` for values that they leave out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_NULL: JsonSchemaValue = {"type": "null"}
_ABOUT = ("title", "description", "default")


class NullsLeftOut(BaseModel):
    """A body in which ``null`` means "left out", for every name.

    Our own bodies define for each name whether it may be null, since null (no repair) is not the default.
    """

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Adapts the schema for the OpenAPI document: every optional parameter may be null."""
        schema = handler(core_schema)
        inner = handler.resolve_ref_schema(schema)
        properties, required = inner.get("properties", {}), inner.get("required", ())
        for name in properties.keys() - required:
            properties[name] = _or_null(properties[name])
        return schema


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    if _NULL in schema.get("anyOf", ()):
        return schema
    about = {key: schema[key] for key in _ABOUT if key in schema}
    limits = {key: value for key, value in schema.items() if key not in about}
    return about | {"anyOf": [limits, _NULL]}
