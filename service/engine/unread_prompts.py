"""What of a request's words the loaded models do not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from service.core.params import RepairParams
from service.core.report import Unused
from service.repair.prompts import Prompts

IN_REPAIRS = " of the repair"


@runtime_checkable
class Reader(Protocol):
    """What can tell how it reads a prompt (``DiffusionModel`` does)."""

    def unused(self, prompt: str, name: str) -> tuple[Unused, ...]:
        """What of a prompt, which came in the parameter ``name``, has no effect on what it draws."""
        ...

    def heeds_negative(self, guidance_scale: float | None) -> bool:
        """Whether a negative prompt has an effect, with this guidance or, if None, its own."""
        ...


def unread_in_picture(model: object, prompts: Prompts, guidance_scale: float | None) -> tuple[Unused, ...]:
    """What the model that draws a picture does not use; nothing of one that cannot tell.

    Args:
        model: what draws.
        prompts: prompt and negative prompt.
        guidance_scale: as asked for; the model's own if None.
    """
    if not isinstance(model, Reader):
        return ()
    unused = model.unused(prompts.prompt, "prompt") + model.unused(prompts.negative_prompt, "negative_prompt")
    if prompts.negative_prompt and not model.heeds_negative(guidance_scale):
        unused += (Unused("negative_prompt", "without guidance above 1 this model has no use for one"),)
    return unused


def unread_in_repair(
    model: object, prompts: Prompts, params: RepairParams, known: tuple[Unused, ...] | None = None
) -> tuple[Unused, ...]:
    """What the model that redraws does not use, of the picture's words and of those for some regions.

    Args:
        model: what redraws.
        prompts: prompt and negative prompt of the picture.
        params: the wishes, which may hold other words.
        known: what is told already of the model that drew the picture; None if nothing did.
    """
    if not isinstance(model, Reader):
        return ()
    found = unread_in_picture(model, prompts, params.guidance_scale)
    if known is not None:
        found = tuple(
            Unused(one.name + IN_REPAIRS, one.reason, one.where) for one in found if one not in known
        )
    return found + tuple(
        one for text, where in _words_for_regions(params) for one in model.unused(text, where)
    )


def _words_for_regions(params: RepairParams) -> Iterator[tuple[str, str]]:
    by_place = {f"per_class.{name}": settings for name, settings in params.per_class.items()}
    by_place |= {f"per_region.{settings.region}": settings for settings in params.per_region}
    by_place |= {
        f"in_order.{place}": settings
        for place, settings in enumerate(params.in_order)
        if settings is not None
    }
    for place, settings in by_place.items():
        yield settings.prompt or "", f"{place}.prompt"
        yield settings.negative_prompt or "", f"{place}.negative_prompt"
