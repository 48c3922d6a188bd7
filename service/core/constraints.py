"""Checks of a record against the limits in its own annotations (PEP 593, ``annotated_types``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Len, Lt, MultipleOf, Predicate

from service.core.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Doc:
    """The description of a parameter, for the OpenAPI document, the command line's help and the docs."""

    text: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Adds the text to the JSON schema; called by pydantic."""
        return {**handler(core_schema), "description": self.text}


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One declared parameter.

    Attributes:
        name: name of the record's field.
        type: type without metadata and without ``None``.
        is_optional: True if ``None`` is allowed.
        metadata: constraints of the value itself.
        text: text of its ``Doc``.
        default: value if it is left out; ``MISSING`` if it must be given.
    """

    name: str
    type: Any
    is_optional: bool
    metadata: tuple[Any, ...]
    text: str
    default: Any


def fields_of(record: type[Any]) -> tuple[Field, ...]:
    """Returns the declared parameters of a record class, in order."""
    return _fields_of(record)  # type: ignore[arg-type]  # classes are hashable; mypy does not see it


@cache
def _fields_of(record: Any) -> tuple[Field, ...]:
    hints = get_type_hints(record, include_extras=True)
    return tuple(_field(f.name, hints[f.name], f.default) for f in fields(record))


def check_fields(record: Any) -> None:
    """Checks every field of a record against the limits in its annotation.

    Raises:
        InvalidRequest: ``NAME_out_of_range``, or ``NAME_too_long`` for a text; for the first wrong field.
        ValueError: raised by a ``Predicate``.
    """
    for declared in fields_of(type(record)):
        value = getattr(record, declared.name)
        if (
            value is not None and value is not declared.default
        ):  # a default is within its limits; a test says so
            check_value(declared, value)


def check_value(declared: Field, value: Any) -> None:
    """Checks one value against the limits of a declared parameter.

    Raises:
        InvalidRequest, ValueError: as ``check_fields``.
    """
    _check(declared.name, value, declared.type, declared.metadata)


def out_of_range(name: str, value: object, allowed: object) -> InvalidRequest:
    """Returns the error for a value outside its limits."""
    return InvalidRequest(f"{name} is {value}", code=f"{name}_out_of_range", allowed=allowed)


def _check(name: str, value: Any, kind: Any, metadata: tuple[Any, ...]) -> None:
    kind, metadata = _plain(kind, metadata)
    for limit in metadata:
        if isinstance(limit, Len):
            _check_length(name, value, limit)
        elif isinstance(limit, Predicate):
            limit.func(value)  # raises an error with its own message
    limits = [limit for limit in metadata if isinstance(limit, (Ge, Gt, Le, Lt, MultipleOf))]
    if limits and not all(_holds(value, limit) for limit in limits):
        raise out_of_range(name, value, " and ".join(map(_told, limits)))
    if get_origin(kind) is tuple:
        items = get_args(kind)
        each = items[:1] * len(value) if items[-1] is Ellipsis else items
        for item, of_item in zip(value, each, strict=True):
            _check(name.removesuffix("s"), item, of_item, ())


def _check_length(name: str, value: Any, limit: Len) -> None:
    if limit.min_length <= len(value) <= (math.inf if limit.max_length is None else limit.max_length):
        return
    if isinstance(value, str):
        raise InvalidRequest(
            f"the {name} has {len(value)} characters",
            code=f"{name}_too_long",
            allowed=f"at most {limit.max_length} characters",
        )
    raise InvalidRequest(
        f"{len(value)} {name}",
        code=f"{name}_out_of_range",
        allowed=f"{limit.min_length} to {limit.max_length} of them",
    )


def _holds(value: Any, limit: Any) -> bool:
    match limit:  # written so that NaN is refused too
        case Ge(least):
            return bool(value >= least)
        case Gt(least):
            return bool(value > least)
        case Le(most):
            return bool(value <= most)
        case Lt(most):
            return bool(value < most)
        case MultipleOf(step):
            return bool(value % step == 0)
    raise TypeError(f"no such limit: {limit}")


def _told(limit: Any) -> str:
    match limit:
        case Ge(least):
            return f"at least {least:g}"
        case Gt(least):
            return f"above {least:g}"
        case Le(most):
            return f"at most {most:g}"
        case Lt(most):
            return f"below {most:g}"
        case MultipleOf(step):
            return f"a multiple of {step}"
    raise TypeError(f"no such limit: {limit}")


def _field(name: str, hint: Any, default: Any) -> Field:
    kind, metadata = _plain(hint, ())
    text = next((data.text for data in metadata if isinstance(data, Doc)), "")
    is_optional = False
    if get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
        (kind,) = (option for option in get_args(kind) if option is not NoneType)
        is_optional = True
        kind, metadata = _plain(kind, metadata)
    metadata = tuple(data for data in metadata if not isinstance(data, Doc))
    return Field(name, kind, is_optional, metadata, text, default)


def _plain(kind: Any, metadata: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Returns the type without its metadata, and all of the metadata."""
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        metadata = (*more, *metadata)
    return kind, metadata


def limits_of(declared: Field) -> str:
    """Returns the limits of a parameter, and of its items, in words; empty without any."""
    kind, metadata = _plain(declared.type, declared.metadata)
    words = [_told(limit) for limit in metadata if isinstance(limit, (Ge, Gt, Le, Lt, MultipleOf))]
    words += [_told_length(limit, kind) for limit in metadata if isinstance(limit, Len)]
    if get_origin(kind) is tuple:
        _, of_item = _plain(get_args(kind)[0], ())
        each = [_told(limit) for limit in of_item if isinstance(limit, (Ge, Gt, Le, Lt))]
        words += [f"each {' and '.join(each)}"] if each else []
    return ", ".join(words)


def _told_length(limit: Len, kind: Any) -> str:
    what = "characters" if kind is str else "items"
    return f"{limit.min_length} to {limit.max_length} {what}"


def element_of(declared: Field) -> Any:
    """Returns the type of a list's items, without its limits."""
    return _plain(get_args(declared.type)[0], ())[0]


def is_record(kind: Any) -> bool:
    """Tells whether a parameter's type has parameters of its own, so that one option cannot express it."""
    kind, _ = _plain(kind, ())
    if hasattr(kind, "__dataclass_fields__") or get_origin(kind) is Mapping:
        return True
    return any(is_record(item) for item in get_args(kind))
