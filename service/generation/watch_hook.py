"""Looks at a picture while it is being made, and stops the run when a defect is beyond doubt."""

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
"""Whether to stop for this reason."""
Mendable = Callable[[Look], WatchTrigger | None]
"""What of a look is worth a repair in flight, if anything."""


class WatchHook:
    """A hook for a run of one picture.

    Attributes:
        looks: what was seen, in order.
        reason: why the run was stopped, or would have been; None if nothing was beyond doubt.
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
        """Takes what to look with.

        Args:
            preview: decodes x0.
            detector: finds what is malformed.
            thresholds: what counts in a preview.
            size_hw: height and width in pixels of the finished picture, for the boxes.
            fractions: of the run at which to look; short runs get fewer looks (see ``checkpoints``).
            stop: whether to stop the run, or only to tell; or what decides it each time.
            first: index of this run's first step in the whole run, if that is taken up again.
            sparing: leaves out the last look where nothing counted in the one before. So late it seldom finds
                what was not seen yet, and there is little left to save.
            mendable: says of each look whether one place is worth a repair in flight; that goes before
                whether the run is hopeless.
            on_preview: told of each look, with the picture that was looked at.
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
        """Looks, if it is time.

        Raises:
            StopRun: with an ``WatchTrigger``.
            ValueError: if the run makes more than one picture at once.
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
