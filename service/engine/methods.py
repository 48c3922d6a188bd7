"""The mapping from names of repair methods to implementations, for the loaded models."""

from __future__ import annotations

from detectors.protocols import DifferentiableDetector
from service.core.params import Method
from service.diffusion.model import DiffusionModel
from service.repair.methods.base import Methods, RepairMethod
from service.repair.methods.nudge import NudgedRedraw, Nudger
from service.repair.methods.redraw import Inpainter, Redraw


def repair_methods(inpainter: Inpainter, guide: DifferentiableDetector | None) -> Methods:
    """Returns the methods that these models support.

    Args:
        inpainter: the model that redraws.
        guide: gives the gradient of a nudge. Without it, or if the model takes no hooks, there is no nudge.
    """
    methods: dict[Method, RepairMethod] = {Method.REDRAW: Redraw(inpainter=inpainter)}
    if guide is not None and isinstance(inpainter, DiffusionModel) and inpainter.can_be_tapped:
        nudger = Nudger(inpainter.preview(), guide, inpainter.batch_bytes)
        methods[Method.NUDGE] = NudgedRedraw(inpainter=inpainter, nudger=nudger)
    return methods
