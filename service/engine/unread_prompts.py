"""Parts of a request's prompts that the loaded models do not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from service.core.params import RepairParams
from service.core.report import Unused
from service.repair.prompts import Prompts

IN_REPAIRS = " of the repair"


@runtime_checkable
class Reader(Protocol):
    """A model that can report how it reads a prompt (such as ``DiffusionModel``)."""

    def unused(self, prompt: str, name: str) -> tuple[Unused, ...]:
        """Returns the parts of a prompt, from the parameter ``name``, that have no effect on the picture."""
        ...

    def heeds_negative(self, guidance_scale: float | None) -> bool:
        """Tells whether a negative prompt has an effect at this guidance scale; the model's own if None."""
        ...


def unread_in_picture(model: object, prompts: Prompts, guidance_scale: float | None) -> tuple[Unused, ...]:
    """Returns the parts of the prompts that the generator does not use; empty for a model that cannot tell.

    Args:
        model: the model that draws.
        prompts: prompt and negative prompt.
        guidance_scale: the requested value; the model's own if None.
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
    """Returns the parts of the picture's and the regions' prompts that the redrawing model does not use.

    Args:
        model: the model that redraws.
        prompts: prompt and negative prompt of the picture.
        params: repair parameters, which may hold prompts of their own.
        known: parts already reported for the generator; None for an upload.
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
