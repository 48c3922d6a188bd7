"""Prompts for the redrawing of a region."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from detectors.body_parts import part_of, words_for
from service.core.prompt_syntax import parse_prompt
from service.core.regions import Region


@dataclass(frozen=True, slots=True)
class Prompts:
    """A prompt and a negative prompt."""

    prompt: str = ""
    negative_prompt: str = ""


def prompts_for(region: Region, prompts: Prompts, seen: Collection[str]) -> Prompts:
    """Returns the prompts for a region; an empty prompt is replaced by a default for the detected part.

    Args:
        region: the region to redraw.
        prompts: the user's prompts.
        seen: class names found in the picture.
    """
    if parse_prompt(prompts.prompt).text.strip():
        return prompts
    return Prompts(words_for(part_of(region.class_name), seen), prompts.negative_prompt)
