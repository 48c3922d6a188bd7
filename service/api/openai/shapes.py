"""What OpenAI's clients send and want back, and how it is ours."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from service.core.limits import MAX_IMAGES
from service.core.params import Guidance, RepairParams, Steps
from service.core.report import Unused
from service.core.requests import Seed
from service.schemas.nulls import NullsLeftOut
from service.schemas.refusals import Refused
from service.schemas.requests import (
    GenerateBody,
    OptionalPrompt,
    Prompt,
    RepairJob,
    validated,
)

Format = Literal["png", "jpeg", "webp"]

_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_SIZE_OR_AUTO = f"^({_SIZE.pattern}|auto)$"
_SEEDS = {"low": 2, "high": 8, "hd": 8, "xhigh": 12, "max": 16}
"""Candidates on each rung: what this service can do more or less of is to repair with care."""
_WITHOUT_EFFECT = {
    "style": "there is one style, the model's own",
    "user": "users are told apart by their keys",
    "safety_identifier": "users are told apart by their keys",
    "moderation": "nothing is moderated",
    "input_fidelity": "all outside of the mask stays as it is",
}


class Common(NullsLeftOut):
    """What both addresses take. ``null`` means left out, as there."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="As /v1/models tells.")
    n: int | None = Field(None, ge=1, le=MAX_IMAGES, description="How many pictures.")
    size: str | None = Field(None, pattern=_SIZE_OR_AUTO, description="As 512x768, or auto: the model's own.")
    quality: Literal["auto", "standard", "low", "medium", "high", "hd", "xhigh", "max"] | None = Field(
        None, description="How many candidates are drawn for each repair."
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="b64_json, save for dall-e models, which always gave a url."
    )
    output_format: Format | None = Field(None, description="png; a url always leads to a PNG.")
    output_compression: int | None = Field(None, ge=0, le=100, description="Quality of a jpeg or webp.")
    background: Literal["auto", "opaque"] | None = Field(None, description="Pictures are opaque.")
    stream: bool | None = Field(None, description="Server-sent events.")
    partial_images: int | None = Field(None, ge=0, le=3, description="Previews on the way, with stream.")
    moderation: Literal["low", "auto"] | None = Field(None, description="Without effect.")
    style: Literal["vivid", "natural"] | None = Field(None, description="Without effect.")
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="Without effect.")
    safety_identifier: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Without effect."
    )
    negative_prompt: OptionalPrompt = Field("", description="Ours: what the picture must not show.")
    seed: Seed | None = Field(None, description="Ours: the same seed makes the same picture.")

    @property
    def format(self) -> Format:
        """What the pictures are written as."""
        return self.output_format or "png"

    @property
    def wants_url(self) -> bool:
        """Whether addresses are wanted in place of the pictures themselves."""
        is_old = (self.model or "").startswith("dall-e")
        return (self.response_format or ("url" if is_old else "b64_json")) == "url"

    @property
    def unused(self) -> list[Unused]:
        """What was asked for and means nothing here."""
        told = [
            Unused(name, reason)
            for name, reason in _WITHOUT_EFFECT.items()
            if getattr(self, name, None) is not None
        ]
        if self.partial_images and not self.stream:
            told.append(Unused("partial_images", "without stream there are none"))
        if self.output_compression is not None and self.format == "png":
            told.append(Unused("output_compression", "a png is lossless"))
        return told

    @property
    def candidates(self) -> int | None:
        """How many are drawn on each rung of a repair; the model's own number if None."""
        return _SEEDS.get(self.quality or "auto")

    def check(self) -> None:
        """What no schema says.

        Raises:
            Refused: naming what does not go together.
        """
        if self.wants_url and self.format != "png":
            raise refused("output_format", "a url leads to a PNG", "png, or b64_json")
        if self.stream and self.response_format == "url":
            raise refused("response_format", "a stream holds the pictures", "b64_json")


class GenerationBody(Common):
    """What to make."""

    prompt: Prompt = Field(description="What the picture shall show.")
    num_inference_steps: Steps | None = Field(None, description="Ours: the model's own if left out.")
    guidance_scale: Guidance | None = Field(None, description="Ours: the model's own if left out.")
    repair: bool = Field(True, description="Ours: whether to repair what is malformed.")

    def to_body(self) -> GenerateBody:
        """The same in our words.

        Raises:
            Refused: if it cannot be made.
        """
        width, height = size_of(self.size) or (None, None)
        wish = {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "seed": self.seed,
            "width": width,
            "height": height,
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "num_images": self.n or 1,
            "repair": RepairParams(seeds_per_attempt=self.candidates) if self.repair else False,
        }
        return validated(GenerateBody, wish)

    @property
    def unused(self) -> list[Unused]:
        """See ``Common``."""
        lost = [Unused("quality", "nothing is repaired")] if self.candidates and not self.repair else []
        return super().unused + lost


class ErrorFacts(BaseModel):
    """What went wrong, in their words."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Every refusal under ``/v1``."""

    error: ErrorFacts


class EditForm(Common):
    """A picture, and where to redraw it: where the mask is fully transparent, or what is malformed."""

    image: UploadFile | None = Field(None, description="PNG, JPEG or WebP.")
    images: list[UploadFile] = Field([], alias="image[]", description="The same, with one.")
    mask: UploadFile | None = Field(None, description="Of the picture's size; transparent = redraw.")
    prompt: OptionalPrompt = Field("", description="What the picture shows.")
    input_fidelity: Literal["high", "low"] | None = Field(
        None, description="Without effect: all outside of the mask stays as it is."
    )

    def the_image(self) -> UploadFile:
        """The one picture.

        Raises:
            Refused: if there is none, or more.
        """
        sent = ([self.image] if self.image else []) + self.images
        if len(sent) != 1:
            raise refused("image", f"{len(sent)} pictures were sent", "one picture")
        return sent[0]

    def to_body(self) -> RepairJob:
        """The same in our words.

        Raises:
            Refused: if more than one picture is wanted.
        """
        if (self.n or 1) != 1:
            raise refused("n", "one edit at a time", 1)
        return RepairJob(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            seed=self.seed,
            seeds_per_attempt=self.candidates,
        )


def size_of(size: str | None) -> tuple[int, int] | None:
    """Width and height; None where the model or the picture decides."""
    found = _SIZE.fullmatch(size or "auto")
    return None if found is None else (int(found[1]), int(found[2]))


def refused(parameter: str, message: str, allowed: object) -> Refused:
    """A refusal that names the parameter as their clients know it."""
    entry = {"parameter": parameter, "code": "invalid_parameter", "message": message, "allowed": allowed}
    return Refused([entry])


def usage() -> dict[str, Any]:
    """Their types demand it; nothing is metered here."""
    return {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 0,
    }
