"""Refusals by pydantic, with the accepted values from the parameter's own schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from service.core.errors import InvalidRequest

Schema = Mapping[str, Any]

_CODES = {
    "extra_forbidden": "unknown_parameter",
    "unexpected_keyword_argument": "unknown_parameter",
    "missing": "missing_parameter",
    "json_invalid": "invalid_json",
}
# Keys of a schema that do not describe accepted values.
_NOT_LIMITS = frozenset({"title", "description", "default", "examples", "$ref"})


class Refused(InvalidRequest):
    """One or more invalid parameters; the message is about the first one.

    Attributes:
        errors: the name, code, message and accepted values of each refused parameter.
    """

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        first = errors[0]
        super().__init__(
            f"{first['parameter']}: {first['message']}", code=first["code"], allowed=first["allowed"]
        )
        self.errors = errors


def refuse_body(openapi: Schema, schema: Schema, errors: Sequence[Any]) -> Refused:
    """Returns the refusal for FastAPI's errors in a request's body, against the documented ``schema``.

    Args:
        openapi: the whole document, to which the references in ``schema`` point.
        errors: pydantic's errors, located from the request: ``("body", "prompt")``.
    """
    return Refused([_explain(openapi, schema, error, error["loc"][1:]) for error in errors])


def refuse(schema: Schema, error: ValidationError, prefix: str = "") -> Refused:
    """Returns the refusal of values that were validated by hand; ``prefix`` is their location."""
    explained = [_explain(schema, schema, item, item["loc"]) for item in error.errors()]
    if prefix:
        for item in explained:
            item["parameter"] = prefix if item["parameter"] == "body" else f"{prefix}.{item['parameter']}"
    return Refused(explained)


def check_gradient(models: Sequence[Mapping[str, Any]], parameter: str) -> None:
    """Checks, by the models' cards, that the detector has gradients for heat maps and nudges.

    Raises:
        Refused: naming the parameter that needs them.
    """
    detector = next((card for card in models if card.get("role") == "detector"), {})
    if not detector.get("defaults", {}).get("gradient"):
        message = "the detector in use cannot say where its scores come from"
        refused = {"parameter": parameter, "code": "no_gradient", "message": message}
        raise Refused([{**refused, "allowed": "to leave it out"}])


def _explain(root: Schema, schema: Schema, error: Any, loc: Sequence[int | str]) -> dict[str, Any]:
    code = _CODES.get(error["type"], "invalid_parameter")
    is_unknown = code == "unknown_parameter"
    names: list[str] = []
    for part in loc[:-1] if is_unknown else loc:
        inner = _step(root, schema, part)
        if inner is not None:  # the other parts name a branch of a union, which means nothing to a client
            names.append(str(part))
            schema = inner
    if is_unknown:
        names.append(str(loc[-1]))
    return {
        "parameter": ".".join(names) or "body",
        "code": code,
        "message": error["msg"],
        "allowed": _names(root, schema) if is_unknown else _allowed(root, schema),
    }


def _step(root: Schema, schema: Schema, part: int | str) -> Schema | None:
    """Returns the schema of one property or item, searched in every branch of a union."""
    for branch in _branches(root, schema):
        if isinstance(part, int) and "items" in branch:
            return cast(Schema, branch["items"])
        if isinstance(part, int) and part < len(branch.get("prefixItems", ())):
            return cast(Schema, branch["prefixItems"][part])
        if isinstance(branch.get("additionalProperties"), Mapping):
            return cast(Schema, branch["additionalProperties"])
        if part in branch.get("properties", {}):
            return cast(Schema, branch["properties"][part])
    return None


def _names(root: Schema, schema: Schema) -> list[str]:
    """Returns the parameters that an object may have."""
    return sorted(name for branch in _branches(root, schema) for name in branch.get("properties", ()))


def _allowed(root: Schema, schema: Schema) -> object:
    """Returns the limits that a schema states; of an object, the names of its parameters."""
    described: list[object] = []
    for branch in _branches(root, schema):
        if "properties" in branch:
            described.append(sorted(branch["properties"]))
        else:
            limits = {key: value for key, value in branch.items() if key not in _NOT_LIMITS}
            described.append(limits)
    return described[0] if len(described) == 1 else described


def _branches(root: Schema, schema: Schema) -> list[Schema]:
    if "$ref" in schema:
        target: Any = root
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return _branches(root, target)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return [branch for option in schema[union] for branch in _branches(root, option)]
    return [schema]
