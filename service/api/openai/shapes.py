"""Request and response bodies of the OpenAI API, and their conversion to our own."""

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
"""Candidates for each attempt, by ``quality``: more candidates make a more careful repair."""
_WITHOUT_EFFECT = {
    "style": "there is one style, the model's own",
    "user": "users are told apart by their keys",
    "safety_identifier": "users are told apart by their keys",
    "moderation": "nothing is moderated",
    "input_fidelity": "all outside of the mask stays as it is",
}


class Common(NullsLeftOut):
    """The parameters of both routes. ``null`` means left out, as in OpenAI's API."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="As listed by /v1/models.")
    n: int | None = Field(None, ge=1, le=MAX_IMAGES, description="The number of pictures.")
    size: str | None = Field(None, pattern=_SIZE_OR_AUTO, description="As 512x768; auto: the model's own.")
    quality: Literal["auto", "standard", "low", "medium", "high", "hd", "xhigh", "max"] | None = Field(
        None, description="Sets the number of candidates for each repair."
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        None, description="Default: b64_json, but url for dall-e models."
    )
    output_format: Format | None = Field(None, description="Default: png. A url always returns a PNG.")
    output_compression: int | None = Field(None, ge=0, le=100, description="The quality of a jpeg or webp.")
    background: Literal["auto", "opaque"] | None = Field(None, description="Pictures are always opaque.")
    stream: bool | None = Field(None, description="Answers with server-sent events.")
    partial_images: int | None = Field(None, ge=0, le=3, description="The number of previews, with stream.")
    moderation: Literal["low", "auto"] | None = Field(None, description="Without effect.")
    style: Literal["vivid", "natural"] | None = Field(None, description="Without effect.")
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="Without effect.")
    safety_identifier: Annotated[str, Field(max_length=512)] | None = Field(
        None, description="Without effect."
    )
    negative_prompt: OptionalPrompt = Field("", description="An extension: content to avoid in the picture.")
    seed: Seed | None = Field(None, description="An extension: the same seed makes the same picture.")

    @property
    def format(self) -> Format:
        """The format of the pictures in the answer."""
        return self.output_format or "png"

    @property
    def wants_url(self) -> bool:
        """True if the answer holds URLs instead of the pictures themselves."""
        is_old = (self.model or "").startswith("dall-e")
        return (self.response_format or ("url" if is_old else "b64_json")) == "url"

    @property
    def unused(self) -> list[Unused]:
        """The given parameters that have no effect here."""
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
        """The number of candidates for each attempt of a repair; None for the model's own number."""
        return _SEEDS.get(self.quality or "auto")

    def check(self) -> None:
        """Checks the combinations of parameters that the schema cannot express.

        Raises:
            Refused: naming the parameters that exclude each other.
        """
        if self.wants_url and self.format != "png":
            raise refused("output_format", "a url leads to a PNG", "png, or b64_json")
        if self.stream and self.response_format == "url":
            raise refused("response_format", "a stream holds the pictures", "b64_json")


class GenerationBody(Common):
    """The request to generate pictures."""

    prompt: Prompt = Field(description="The wanted content of the picture.")
    num_inference_steps: Steps | None = Field(None, description="An extension. Default: the model's own.")
    guidance_scale: Guidance | None = Field(None, description="An extension. Default: the model's own.")
    repair: bool = Field(True, description="An extension: repairs malformed regions.")

    def to_body(self) -> GenerateBody:
        """Converts the request to our own schema.

        Raises:
            Refused: if the request cannot be fulfilled.
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
        """The given parameters that have no effect here."""
        lost = [Unused("quality", "nothing is repaired")] if self.candidates and not self.repair else []
        return super().unused + lost


class ErrorFacts(BaseModel):
    """One error, in OpenAI's terms."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """The body of every refusal under ``/v1``."""

    error: ErrorFacts


class EditForm(Common):
    """The request to redraw a picture: where the mask is fully transparent, or where it is malformed."""

    image: UploadFile | None = Field(None, description="PNG, JPEG or WebP.")
    images: list[UploadFile] = Field([], alias="image[]", description="The same, as a list with one file.")
    mask: UploadFile | None = Field(None, description="The same size as the picture; transparent = redraw.")
    prompt: OptionalPrompt = Field("", description="The content of the picture.")
    input_fidelity: Literal["high", "low"] | None = Field(
        None, description="Without effect: pixels outside the mask never change."
    )

    def the_image(self) -> UploadFile:
        """Returns the one picture.

        Raises:
            Refused: if there is none, or more.
        """
        sent = ([self.image] if self.image else []) + self.images
        if len(sent) != 1:
            raise refused("image", f"{len(sent)} pictures were sent", "one picture")
        return sent[0]

    def to_body(self) -> RepairJob:
        """Converts the request to our own schema.

        Raises:
            Refused: if more than one picture is requested.
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
    """Returns width and height; None where the model or the picture decides."""
    found = _SIZE.fullmatch(size or "auto")
    return None if found is None else (int(found[1]), int(found[2]))


def refused(parameter: str, message: str, allowed: object) -> Refused:
    """Returns a refusal that names the parameter as OpenAI's clients know it."""
    entry = {"parameter": parameter, "code": "invalid_parameter", "message": message, "allowed": allowed}
    return Refused([entry])


def usage() -> dict[str, Any]:
    """Returns the usage that OpenAI's types require; nothing is metered here."""
    return {
        "input_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 0,
    }
