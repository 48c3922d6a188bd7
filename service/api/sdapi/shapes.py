"""What front ends send: far more than means something here, so nothing unknown is refused, but told of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.validation import (
    MAX_GUIDANCE,
    MAX_IMAGES,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    SIZE_STEP_PX,
)
from service.wire.bodies import Prompt

_ANY_SEED = -1
_WITHOUT_EFFECT = (
    "sampler_name",
    "sampler_index",
    "scheduler",
    "enable_hr",
    "tiling",
    "restore_faces",
    "styles",
    "subseed_strength",
    "script_name",
    "override_settings",
    "inpainting_fill",
    "refiner_checkpoint",
)
_NEUTRAL: tuple[Any, ...] = (None, False, 0, "", [], {}, "None", "Automatic", "automatic")

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


class Wish(BaseModel):
    """What both addresses take; what is left out is the model's own."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    prompt: Text = ""
    negative_prompt: Text | None = ""
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

    @property
    def without_effect(self) -> list[str]:
        """What was asked for and means nothing here."""
        extra = self.model_extra or {}
        told = [name for name in _WITHOUT_EFFECT if extra.get(name) not in _NEUTRAL]
        scripts = [name for name, script in (self.alwayson_scripts or {}).items() if _says(name, script)]
        return told + [f"alwayson_scripts.{name}" for name in scripts]

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


class Img2Img(Wish):
    """What to redraw."""

    init_images: list[str] = Field(min_length=1, max_length=1, description="base64, or a data: address.")
    mask: str | None = Field(None, description="The same; white = redraw.")
    mask_blur: int | None = Field(None, ge=0)
    inpainting_mask_invert: bool = False

    def let_go(self) -> None:
        """Forgets the pictures too."""
        super().let_go()
        self.init_images, self.mask = [], None


def shortened(value: Any) -> Any:
    """The same with a note in place of each long text: most likely a picture in base64."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    is_long = isinstance(value, str) and len(value) > MAX_PROMPT_CHARS
    return f"({len(value)} characters)" if is_long else value


def _says(name: str, script: Any) -> bool:
    args = script.get("args") if isinstance(script, dict) else script
    return name.lower() != "adetailer" and bool(args) and args != [False]
