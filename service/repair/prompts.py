"""The words by which a region is redrawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from detectors.protocols import part_of
from service.core.prompt_syntax import parse_prompt
from service.core.report import Region


@dataclass(frozen=True, slots=True)
class Wording:
    """What the picture shows, in words, and what it should not."""

    prompt: str = ""
    negative_prompt: str = ""


def wording_for(region: Region, wording: Wording, seen: Collection[str]) -> Wording:
    """The wording, or, where there is no prompt, plain words for what the detector saw.

    Args:
        region: what is redrawn.
        wording: what the user said.
        seen: class names found in the picture.
    """
    if parse_prompt(wording.prompt).text.strip():
        return wording
    bodies = [body for body in ("person", "horse") if body in seen]
    whole = "a person riding a horse" if len(bodies) == 2 else f"a {bodies[0]}" if bodies else ""
    words = {"hand": "a hand", "limb": whole or "a person"}.get(part_of(region.class_name), whole)
    return Wording(words, wording.negative_prompt)
