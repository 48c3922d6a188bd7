"""The mapping from a repair method's name to what does it, for the models that are loaded."""

from __future__ import annotations

from detectors.protocols import DifferentiableDetector
from service.core.params import Method
from service.diffusion.model import DiffusionModel
from service.repair.methods.base import Methods, RepairMethod
from service.repair.methods.nudge import NudgedRedraw, Nudger
from service.repair.methods.redraw import Inpainter, Redraw


def repair_methods(inpainter: Inpainter, guide: DifferentiableDetector | None) -> Methods:
    """Returns the methods that these models allow for.

    Args:
        inpainter: draws.
        guide: gives the gradient of a nudge; no nudge without one, or where no hook can reach the model.
    """
    methods: dict[Method, RepairMethod] = {Method.REDRAW: Redraw(inpainter=inpainter)}
    if guide is not None and isinstance(inpainter, DiffusionModel) and inpainter.can_be_tapped:
        nudger = Nudger(inpainter.preview(), guide, inpainter.batch_bytes)
        methods[Method.NUDGE] = NudgedRedraw(inpainter=inpainter, nudger=nudger)
    return methods
