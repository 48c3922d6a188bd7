"""What front ends send: far more than means something here, so nothing unknown is refused, but told of."""

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
    """What both addresses take; what is left out, or null, is the model's own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    prompt: Text = ""
    negative_prompt: Text = ""
    seed: int = Field(_ANY_SEED, ge=_ANY_SEED, le=MAX_SEED, description="-1: any.")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    cfg_scale: float | None = Field(None, ge=0, le=MAX_GUIDANCE)
    width: int | None = Field(None, ge=SIZE_STEP_PX)
    height: int | None = Field(None, ge=SIZE_STEP_PX)
    batch_size: int = Field(1, ge=1, le=MAX_IMAGES)
    n_iter: int = Field(1, ge=1, le=MAX_IMAGES)
    denoising_strength: float | None = Field(None, ge=0, le=1)
    send_images: bool = True
    alwayson_scripts: dict[str, Any] | None = Field(None, description="ADetailer is understood.")

    @property
    def wanted_seed(self) -> int | None:
        """None where any will do."""
        return None if self.seed < 0 else self.seed

    def unused(self, width: int, height: int) -> list[Unused]:
        """What was asked for and means nothing here, given the size of the picture that came of it."""
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
        """Forgets what is long and means nothing to us: all that is wanted of it once there is a job."""
        self.alwayson_scripts = shortened(self.alwayson_scripts)
        for name, value in (self.model_extra or {}).items():
            setattr(self, name, shortened(value))

    def echo(self) -> dict[str, Any]:
        """The request again, without its pictures, as the web UI does it."""
        return self.model_dump(mode="json", exclude={"init_images", "mask"})


class Txt2Img(Wish):
    """What to make."""

    prompt: Prompt

    def sides(self) -> dict[str, int | None]:
        """Width and height, rounded down to what a model can draw, as the web UI does it."""
        return {
            name: None if side is None else side - side % SIZE_STEP_PX
            for name, side in (("width", self.width), ("height", self.height))
        }

    def unused(self, width: int, height: int) -> list[Unused]:
        """See ``Wish``."""
        told = super().unused(width, height)
        if self.denoising_strength:
            told.append(
                Unused("denoising_strength", "a picture is made once, and repaired by its own ladder")
            )
        return told


class Img2Img(Wish):
    """What to redraw."""

    init_images: list[str] = Field(min_length=1, max_length=1, description="base64, or a data: address.")
    mask: str | None = Field(None, description="The same; white = redraw.")
    mask_blur: int | None = Field(None, ge=0)
    inpainting_mask_invert: bool = False

    def let_go(self) -> None:
        """Forgets the pictures too; that there was a mask is remembered."""
        super().let_go()
        self.init_images, self.mask = shortened(self.init_images), shortened(self.mask)

    def unused(self, width: int, height: int) -> list[Unused]:
        """See ``Wish``."""
        several = (("batch_size", self.batch_size), ("n_iter", self.n_iter))
        told = [Unused(name, "one picture comes of one") for name, count in several if count > 1]
        if not self.mask and self.inpainting_mask_invert:
            told.append(Unused("inpainting_mask_invert", "there is no mask"))
        if (self.mask_blur or 0) > MAX_FEATHER_PX:
            told.append(Unused("mask_blur", f"taken as {MAX_FEATHER_PX}"))
        return super().unused(width, height) + told

    def overruled(self) -> list[Unused]:
        """What an ADetailer block says in the place of these, where there is no mask."""
        asked = (("denoising_strength", self.denoising_strength), ("mask_blur", self.mask_blur))
        return [Unused(name, "the ADetailer block says it") for name, value in asked if value is not None]


def shortened(value: Any) -> Any:
    """The same with a note in place of each long text: most likely a picture in base64."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    is_long = isinstance(value, str) and len(value) > MAX_PROMPT_CHARS
    return f"({len(value)} characters)" if is_long else value
