"""Request bodies of front ends. Many parameters mean nothing here: they are reported, not refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from service.api.sdapi.adetailer import NAME as ADETAILER
from service.api.sdapi.unused import unused_names, unused_scripts
from service.core.limits import (
    MAX_FEATHER_PX,
    MAX_GUIDANCE,
    MAX_IMAGES,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    SIZE_STEP_PX,
)
from service.core.report import Unused
from service.schemas.nulls import NullsLeftOut
from service.schemas.requests import Prompt

_ANY_SEED = -1
Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


class Wish(NullsLeftOut):
    """The parameters of both routes; a value that is left out, or null, is the model's own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    prompt: Text = ""
    negative_prompt: Text = ""
    seed: int = Field(_ANY_SEED, ge=_ANY_SEED, le=MAX_SEED, description="-1: random.")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    cfg_scale: float | None = Field(None, ge=0, le=MAX_GUIDANCE)
    width: int | None = Field(None, ge=SIZE_STEP_PX)
    height: int | None = Field(None, ge=SIZE_STEP_PX)
    batch_size: int = Field(1, ge=1, le=MAX_IMAGES)
    n_iter: int = Field(1, ge=1, le=MAX_IMAGES)
    denoising_strength: float | None = Field(None, ge=0, le=1)
    send_images: bool = True
    alwayson_scripts: dict[str, Any] | None = Field(None, description="Only ADetailer has an effect.")

    @property
    def wanted_seed(self) -> int | None:
        """The seed; None for a random one."""
        return None if self.seed < 0 else self.seed

    def unused(self, width: int, height: int) -> list[Unused]:
        """Returns the parameters without effect, given the size of the resulting picture."""
        pairs = (("width", self.width, width), ("height", self.height, height))
        return [
            *unused_names(self.model_extra or {}),
            *unused_scripts(self.alwayson_scripts, ADETAILER),
            *(
                Unused(name, f"the picture has {has} pixels")
                for name, side, has in pairs
                if side not in (None, has)
            ),
        ]

    def let_go(self) -> None:
        """Shortens long values without effect, to free memory once the job exists."""
        self.alwayson_scripts = shortened(self.alwayson_scripts)
        for name, value in (self.model_extra or {}).items():
            setattr(self, name, shortened(value))

    def echo(self) -> dict[str, Any]:
        """Returns the request without its pictures, as the web UI does."""
        return self.model_dump(mode="json", exclude={"init_images", "mask"})


class Txt2Img(Wish):
    """The request to generate pictures."""

    prompt: Prompt

    def sides(self) -> dict[str, int | None]:
        """Returns width and height, rounded down to sizes that a model can draw, as the web UI does."""
        return {
            name: None if side is None else side - side % SIZE_STEP_PX
            for name, side in (("width", self.width), ("height", self.height))
        }

    def unused(self, width: int, height: int) -> list[Unused]:
        """Returns the parameters without effect, see ``Wish``."""
        told = super().unused(width, height)
        if self.denoising_strength:
            told.append(
                Unused("denoising_strength", "a picture is made once, and repaired by its own ladder")
            )
        return told


class Img2Img(Wish):
    """The request to redraw a picture."""

    init_images: list[str] = Field(min_length=1, max_length=1, description="base64, or a data: URL.")
    mask: str | None = Field(None, description="The same; white = redraw.")
    mask_blur: int | None = Field(None, ge=0)
    inpainting_mask_invert: bool = False

    def let_go(self) -> None:
        """Drops the pictures too, but remembers that there was a mask."""
        super().let_go()
        self.init_images, self.mask = shortened(self.init_images), shortened(self.mask)

    def unused(self, width: int, height: int) -> list[Unused]:
        """Returns the parameters without effect, see ``Wish``."""
        several = (("batch_size", self.batch_size), ("n_iter", self.n_iter))
        told = [Unused(name, "one picture comes of one") for name, count in several if count > 1]
        if not self.mask and self.inpainting_mask_invert:
            told.append(Unused("inpainting_mask_invert", "there is no mask"))
        if (self.mask_blur or 0) > MAX_FEATHER_PX:
            told.append(Unused("mask_blur", f"taken as {MAX_FEATHER_PX}"))
        return super().unused(width, height) + told

    def overruled(self) -> list[Unused]:
        """Returns the parameters that an ADetailer block overrides where there is no mask."""
        asked = (("denoising_strength", self.denoising_strength), ("mask_blur", self.mask_blur))
        return [Unused(name, "the ADetailer block says it") for name, value in asked if value is not None]


def shortened(value: Any) -> Any:
    """Replaces each long text by a note: most likely it is a picture in base64."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    is_long = isinstance(value, str) and len(value) > MAX_PROMPT_CHARS
    return f"({len(value)} characters)" if is_long else value
