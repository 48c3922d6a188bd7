"""The watch: a hook that inspects previews of a run, and stops it when a defect is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from detectors.body_parts import is_malformed
from detectors.detections import Detections, Image
from detectors.protocols import Detector
from service.core.params import WATCH_FRACTIONS
from service.diffusion.hooks import Step, StopRun
from service.diffusion.preview import Preview, to_images
from service.generation.abort_rules import (
    Look,
    PreviewDefect,
    PreviewThresholds,
    WatchTrigger,
    checkpoints,
    decide,
    has_hit,
)

LEAST_CONF = 0.05

StopRule = Callable[[WatchTrigger], bool]
"""Returns True to stop the run for this reason."""
Mendable = Callable[[Look], WatchTrigger | None]
"""Returns the place of a look that is worth a repair in flight, if any."""


class WatchHook:
    """A hook for a run of one picture.

    Attributes:
        looks: the looks, in order.
        reason: the reason why the run was stopped, or would have been; None if there was none.
    """

    def __init__(
        self,
        preview: Preview,
        detector: Detector,
        thresholds: PreviewThresholds,
        size_hw: tuple[int, int],
        *,
        fractions: Sequence[float] = WATCH_FRACTIONS,
        stop: bool | StopRule = True,
        first: int = 0,
        sparing: bool = True,
        mendable: Mendable | None = None,
        on_preview: Callable[[Look, Image], None] | None = None,
    ) -> None:
        """Takes the decoder, the detector and the rules.

        Args:
            preview: decodes x0.
            detector: finds malformed parts.
            thresholds: thresholds for previews.
            size_hw: height and width in pixels of the finished picture, for the boxes.
            fractions: fractions of the run at which to look; short runs get fewer (see ``checkpoints``).
            stop: True to stop the run, False only to record the reason, or a function that decides.
            first: index of this run's first step in the whole run, if a run is resumed.
            sparing: True to leave out the last look if nothing counted in the one before. So late, it seldom
                finds anything new, and little time is left to save.
            mendable: selects the place of a look that is worth a repair in flight; it takes precedence over
                the rules to abort.
            on_preview: called after each look, with the preview.
        """
        self._preview = preview
        self._detector = detector
        self._thresholds = thresholds
        self._size_hw = size_hw
        self._fractions = fractions
        self._stop = stop
        self._first = first
        self._sparing = sparing
        self._mendable = mendable
        self._on_preview = on_preview
        self.looks: list[Look] = []
        self.reason: WatchTrigger | None = None

    def __call__(self, step: Step) -> None:
        """Inspects a preview if a look is due at this step.

        Raises:
            StopRun: with a ``WatchTrigger``.
            ValueError: the run makes more than one picture at once.
        """
        index, total = self._first + step.index, self._first + step.total
        fraction = checkpoints(total, self._fractions).get(index)
        if fraction is None or self._can_spare(fraction):
            return
        if len(step.x0) != 1:
            raise ValueError(f"a watched run makes one picture, not {len(step.x0)}")
        with torch.no_grad():
            image = to_images(self._preview.decode(step.x0))[0]
        look = Look(index=index, fraction=fraction, defects=self._defects(image))
        self.looks.append(look)
        if self._on_preview is not None:
            self._on_preview(look, image)
        mendable = None if self._mendable is None else self._mendable(look)
        reason = mendable or decide(self.looks, self._thresholds)
        self.reason = self.reason or reason
        if reason is not None and (self._stop(reason) if callable(self._stop) else self._stop):
            raise StopRun(reason)

    def _can_spare(self, fraction: float) -> bool:
        is_last = fraction == max(self._fractions)
        return (
            self._sparing and is_last and bool(self.looks) and not has_hit(self.looks[-1], self._thresholds)
        )

    def _defects(self, image: Image) -> tuple[PreviewDefect, ...]:
        found: Detections = self._detector.detect([image], LEAST_CONF)[0].by_confidence()
        across, down = self._size_hw[1] / image.shape[1], self._size_hw[0] / image.shape[0]
        names = [self._detector.class_names[i] for i in found.class_id]
        return tuple(
            PreviewDefect(
                class_name=name, conf=float(conf), xyxy=(x1 * across, y1 * down, x2 * across, y2 * down)
            )
            for name, conf, (x1, y1, x2, y2) in zip(names, found.conf, found.xyxy.tolist(), strict=True)
            if is_malformed(name)
        )
