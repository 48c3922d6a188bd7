"""The words by which a region is redrawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from detectors.body_parts import part_of, words_for
from service.core.prompt_syntax import parse_prompt
from service.core.regions import Region


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the picture shows, in words, and what it should not."""

    prompt: str = ""
    negative_prompt: str = ""


def prompts_for(region: Region, prompts: Prompts, seen: Collection[str]) -> Prompts:
    """The wording, or, where there is no prompt, plain words for what the detector saw.

    Args:
        region: what is redrawn.
        prompts: what the user said.
        seen: class names found in the picture.
    """
    if parse_prompt(prompts.prompt).text.strip():
        return prompts
    return Prompts(words_for(part_of(region.class_name), seen), prompts.negative_prompt)
