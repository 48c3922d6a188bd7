"""Redrawn parts as the gate gets to see them: taken as they come, good and bad, to be labelled by eye.

The gate's models learn from renders and from whole generated pictures; what an inpainter gets wrong in its
own way they would only know from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.detections import Detections, Image
from detectors.protocols import Detector
from service.core.params import RepairParams
from service.core.report import Verdict
from service.diffusion.model import DiffusionModel
from service.repair.gate import Gate, Judgement
from service.repair.ladder import Ladder
from service.repair.methods.redraw import redraw_only
from service.repair.plan import plan_repair
from service.repair.prompts import Prompts

MOST_PLACES = 2


class AcceptAlways(Gate):
    """A gate that looks, and lets everything through."""

    def judge(self, *args: Any, **kwargs: Any) -> Judgement:
        """The gate's figures with the verdict that no tool without a gate could have refused."""
        return replace(super().judge(*args, **kwargs), verdict=Verdict.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Redraw:
    """Record of one redraw of a picture: enough to repeat it with the same inpainter.

    Attributes:
        places: class name and xyxy in pixels of each part.
        strength: in (0, 1].
        inpainter: the redrawing model's id.
    """

    places: Sequence[tuple[str, Sequence[float]]]
    strength: float
    inpainter: str


def choose(
    detector: Detector, picture: Image, wanted: str, least_conf: float, strength: float, inpainter: str
) -> Redraw | None:
    """The surest malformed parts of a picture, for one redraw; None if nothing is called malformed.

    Args:
        detector: finds.
        picture: uint8 RGB (H, W, 3).
        wanted: which part, ``hand`` or ``limb``.
        least_conf: least score of a malformed part.
        strength: of the redraw.
        inpainter: the redrawing model's id.
    """
    found = detector.detect([picture], least_conf)[0].by_confidence()
    names = detector.class_names
    rows = [row for row, index in enumerate(found.class_id) if names[index] == f"malformed_{wanted}"]
    places = [(names[found.class_id[row]], [round(float(v)) for v in found.xyxy[row]]) for row in rows]
    return Redraw(places[:MOST_PLACES], strength, inpainter) if places else None


def redrawn(
    inpainter: DiffusionModel,
    detector: Detector,
    picture: NDArray[np.uint8],
    prompt: str,
    what: Redraw,
    seed: int,
) -> NDArray[np.uint8]:
    """The picture with those places redrawn once each, however it came out.

    Raises:
        ValueError: if the places were redrawn by another inpainter: the pictures would not be the same.
    """
    if what.inpainter != inpainter.model_id:
        raise ValueError(f"redrawn by {what.inpainter}, this is {inpainter.model_id}")
    names = detector.class_names
    found = Detections.of(
        np.array([xyxy for _, xyxy in what.places], np.float64),
        np.ones(len(what.places)),
        np.array([names.index(name) for name, _ in what.places]),
    )
    params = RepairParams(strengths=(what.strength,), seeds_per_attempt=1)
    plan = plan_repair(found, names, picture.shape[:2], params, inpainter.native_px)
    gate = AcceptAlways(detector, None, detector.default_conf)
    ladder = Ladder(
        methods=redraw_only(inpainter), native_px=inpainter.native_px, gate=gate, prompts=Prompts(prompt)
    )
    return ladder.repair(picture, plan, seed).image
