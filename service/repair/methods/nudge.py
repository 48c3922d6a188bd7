"""The repair method ``nudge``: redrawing, with latents steered along a detector's gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from detectors.detections import Mask
from detectors.protocols import DifferentiableDetector
from service.core.params import NudgeParams
from service.diffusion.memory_budget import BATCH_BYTES
from service.diffusion.nudge import BoxF, Nudge
from service.diffusion.preview import Preview
from service.repair.methods.base import Proposal, RegionContext
from service.repair.methods.redraw import Inpainter, redraw
from service.repair.rungs import Rung


@dataclass(frozen=True, slots=True, eq=False)
class Nudger:
    """Makes the hooks that steer a run.

    Attributes:
        preview: decodes x0, differentiably.
        guide: gives the gradient.
        batch_bytes: memory limit for a gradient, in bytes.
    """

    preview: Preview
    guide: DifferentiableDetector
    batch_bytes: int = BATCH_BYTES

    def hook(
        self,
        xyxy: BoxF,
        mask: Mask,
        params: NudgeParams,
        seed: int,
        before_call: Callable[[], None] = lambda: None,
    ) -> Nudge:
        """Returns a hook for one run.

        Args:
            xyxy: box of the part, in pixels of the canvas.
            mask: float32 (H, W) of the canvas; latent cells in which it is 0 do not change.
            params: parameters of the nudge.
            seed: seed of the jitter.
            before_call: called before each call of the guide; an exception from it ends the run.
        """
        return Nudge(
            self.preview,
            self.guide,
            xyxy,
            mask,
            params,
            seed=seed,
            batch_bytes=self.batch_bytes,
            before_call=before_call,
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NudgedRedraw:
    """The repair method ``nudge``: redrawing, with each run steered along a guide's gradient.

    Attributes:
        inpainter: the model that redraws.
        nudger: makes the hooks.
    """

    inpainter: Inpainter
    nudger: Nudger

    def propose(self, context: RegionContext, rung: Rung, seeds: Sequence[int]) -> Proposal:
        """Draws one candidate for each seed."""
        hook = partial(
            self.nudger.hook,
            params=context.nudge,
            seed=seeds[0],
            before_call=(lambda: None) if context.on_step is None else partial(context.on_step, 0),
        )
        return redraw(self.inpainter, context, rung, seeds, hook)
