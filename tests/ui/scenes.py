"""Holds what the scripted service answers: real pictures, made-up repairs."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tests.ui.fake import FakeService

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HAND = EXAMPLES / "six_fingered_hand.png"
FINE_HAND = EXAMPLES / "well_formed_hand.png"
HORSE = EXAMPLES / "five_legged_horse.png"

HAND_BOX = (43, 24, 214, 208)
_SIXTH_FINGER = [
    (41, 67),
    (44, 57),
    (54, 55),
    (66, 65),
    (99, 99),
    (104, 106),
    (104, 118),
    (94, 130),
    (85, 120),
]
HORSE_BOX = (157, 130, 200, 187)


def preview(path: Path, blur: float) -> str:
    """A small foggy JPEG of a picture, as a data: address."""
    buffer = BytesIO()
    Image.open(path).convert("RGB").resize((128, 128)).filter(ImageFilter.GaussianBlur(blur)).save(
        buffer, "JPEG"
    )
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def five_fingers() -> bytes:
    """The six-fingered hand with its sixth finger painted over: a stand-in for a repair, and none."""
    hand = np.asarray(Image.open(HAND).convert("RGB"))
    mask = Image.new("L", hand.shape[1::-1])
    ImageDraw.Draw(mask).polygon(_SIXTH_FINGER, fill=255)
    return _png(Image.fromarray(cv2.inpaint(hand, np.asarray(mask), 3, cv2.INPAINT_TELEA)))


def attempt(
    verdict: str, strength: float, seed: int, conf: float, seam: float = 1.02, critic: float | None = None
) -> dict[str, Any]:
    """One attempt, as an answer tells of it."""
    facts = {
        "method": "redraw",
        "strength": strength,
        "seed": seed,
        "conf": conf,
        "critic": critic,
        "seam": seam,
        "foreign_colour": 0.0,
    }
    return facts | {"verdict": verdict}


REFUSED = [attempt("still_malformed", 0.4, 3811 + i, 0.84 - 0.05 * i) for i in range(3)]
SEAM = attempt("visible_seam", 0.55, 3814, 0.21, 2.31, critic=0.17)
ACCEPTED = attempt("accepted", 0.75, 3818, 0.07, 1.04)


def repaired(fake: FakeService) -> dict[str, Any]:
    """An answer with one picture: one region was repaired, another kept."""
    original, final = fake.put(HAND.read_bytes()), fake.put(five_fingers())
    regions = [
        _region(fake, "malformed_hand", HAND_BOX, 0.91, 0.07, [*REFUSED, SEAM, ACCEPTED]),
        _region(fake, "malformed_limb", (104, 196, 182, 255), 0.44, 0.44, REFUSED),
    ]
    return _answer([_image(final, original, "partly", regions)])


def clean(fake: FakeService, paths: tuple[Path, ...] = (FINE_HAND,)) -> dict[str, Any]:
    """An answer in which nothing was found."""
    urls = [fake.put(path.read_bytes()) for path in paths]
    return _answer([_image(url, url, "clean", []) for url in urls])


def unrepaired(fake: FakeService, path: Path = HORSE) -> dict[str, Any]:
    """An answer in which nothing got better."""
    url = fake.put(path.read_bytes())
    return _answer(
        [_image(url, url, "unrepaired", [_region(fake, "malformed_limb", HORSE_BOX, 0.77, 0.77, REFUSED)])]
    )


def nothing_asked(fake: FakeService) -> dict[str, Any]:
    """An answer in which what is wrong was not to be repaired, and a parameter had no effect."""
    url = fake.put(HORSE.read_bytes())
    unused = [{"name": "mask_threshold", "reason": "mask_source is not `heatmap`", "where": ""}]
    told = {"reason": "left as they were: 1 by skip", "unused": unused}
    return _answer([_image(url, url, "nothing_asked", []) | told])


def detections(fake: FakeService, heatmap: bool = True) -> dict[str, Any]:
    """Returns what /detect answers."""
    seen = [("malformed_hand", HAND_BOX, 0.91), ("hand", (48, 30, 216, 214), 0.3)]
    return {
        "id": "request-2",
        "width": 256,
        "height": 256,
        "detections": [{"class_name": name, "xyxy": box, "conf": conf} for name, box, conf in seen],
        "timings_s": {"detect": 0.05},
        "heatmap_url": fake.put(_heat()) if heatmap else None,
    }


def _answer(images: list[dict[str, Any]]) -> dict[str, Any]:
    models = {"generator": "bundled@4f1c", "detector": "bundled@90ab"}
    return {
        "id": "request-1",
        "images": images,
        "models": models,
        "timings_s": {"generate": 2.4, "repair": 6.1},
    }


def _image(url: str, original: str, outcome: str, regions: list[dict[str, Any]]) -> dict[str, Any]:
    facts = {"url": url, "sha256": url.removeprefix("/images/"), "original_url": original, "seed": 7}
    return facts | {"width": 256, "height": 256, "outcome": outcome, "regions": regions}


def _region(
    fake: FakeService,
    class_name: str,
    xyxy: tuple[int, int, int, int],
    before: float,
    after: float,
    attempts: list[dict[str, Any]],
) -> dict[str, Any]:
    accepted = attempts[-1]["verdict"] == "accepted"
    return {
        "class_name": class_name,
        "xyxy": xyxy,
        "conf_before": before,
        "conf_after": after,
        "accepted": accepted,
        "reason": "accepted" if accepted else "original kept: no attempt passed",
        "mask_url": fake.put(_mask(xyxy)),
        "attempts": attempts,
    }


def _mask(xyxy: tuple[int, int, int, int]) -> bytes:
    mask = Image.new("L", (256, 256))
    ImageDraw.Draw(mask).rounded_rectangle(xyxy, 20, fill=255)
    return _png(mask.filter(ImageFilter.GaussianBlur(4)))


def _heat() -> bytes:
    heat = Image.new("RGB", (256, 256), (20, 10, 80))
    ImageDraw.Draw(heat).ellipse(HAND_BOX, fill=(255, 190, 40))
    return _png(heat.filter(ImageFilter.GaussianBlur(18)))


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
