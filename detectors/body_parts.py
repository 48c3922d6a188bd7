"""Body parts: their classes, their number in a body, and their default prompts, in one table.

A detector may know other classes; those whose name begins with ``malformed_`` stand for defects.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_MALFORMED = "malformed_"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyPart:
    """One kind of body part.

    Attributes:
        name: name of the part; also the class of a well-formed one.
        prompt: default prompt for the part; the body's name is used if it is empty.
        is_countable: True if a body has a known number of these parts (``Body.parts``).
        doubles: True if a malformed part may be superfluous; it then goes away only if it is painted over.
    """

    name: str
    prompt: str = ""
    is_countable: bool = False
    doubles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body that has parts.

    Attributes:
        name: name of the body; also its class.
        parts: number of countable parts, by name of the part.
    """

    name: str
    parts: dict[str, int]


HAND = BodyPart(name="hand", prompt="a hand")
LIMB = BodyPart(name="limb", is_countable=True, doubles=True)
PARTS = {part.name: part for part in (HAND, LIMB)}
BODIES = {
    body.name: body
    for body in (Body(name="person", parts={"limb": 4}), Body(name="horse", parts={"limb": 4}))
}

CLASS_NAMES = (
    *(name for part in PARTS for name in (part, f"{_MALFORMED}{part}")),
    *BODIES,
)
"""The bundled detector's classes in the order in which it was trained: append, or train it again."""


def is_malformed(class_name: str) -> bool:
    """Tells whether a class stands for a defect."""
    return class_name.startswith(_MALFORMED)


def part_of(class_name: str) -> str:
    """Returns the body part of a class: ``malformed_hand`` and ``hand`` are both ``hand``."""
    return class_name.removeprefix(_MALFORMED)


def malformed_class(part: str) -> str:
    """Returns the class of a malformed part."""
    return f"{_MALFORMED}{part}"


def words_for(part: str, seen: Collection[str]) -> str:
    """Returns a default prompt for a part, given the classes found in the picture; may be empty."""
    bodies = [f"a {name}" for name in BODIES if name in seen]
    whole = " riding ".join(bodies)
    if part in PARTS:
        return PARTS[part].prompt or whole or "a person"
    return whole
