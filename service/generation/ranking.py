"""Ranking of finished candidates by the gate, which later judges their repairs too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from detectors.body_parts import is_malformed
from detectors.detections import Detections, Image
from detectors.protocols import Detector
from service.core.params import Policy, RepairParams
from service.repair.gate import Gate
from service.repair.inspection import Inspector
from service.repair.ladder import rivals_of
from service.repair.window import window_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """The rank of a candidate; the better of two ranks is less.

    Attributes:
        conf: score of its worst place, in [0, 1].
        expected: sum of the scores of its places; without any, of the detections below the threshold.
        critic: the critic's worst probability of malformed; None if nothing was shown to it.
        defects: number of places to repair.
        passes: number of pictures shown to the detector for this rank.
        is_empty: True if the detector found nothing at all in it, well-formed or not.
    """

    conf: float
    expected: float
    critic: float | None
    defects: int
    passes: int
    is_empty: bool = False

    @property
    def badness(self) -> tuple[bool, int, float]:
        """Sort key: empty pictures last, then by number of places, then by the sum of scores.

        The worst place says less, since most pictures have a bad one (decision 15).
        """
        return self.is_empty, self.defects, self.expected


@dataclass(slots=True)
class Counted:
    """A detector that counts its pictures."""

    detector: Detector
    passes: int = 0
    model_id: str = field(init=False)
    class_names: tuple[str, ...] = field(init=False)
    default_conf: Mapping[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.model_id, self.class_names = self.detector.model_id, self.detector.class_names
        self.default_conf = self.detector.default_conf

    def detect(self, images: Sequence[Image], conf: float) -> list[Detections]:
        """Detects parts (see ``Detector.detect``) and counts the pictures."""
        self.passes += len(images)
        return self.detector.detect(images, conf)


def rank(image: Image, inspector: Inspector, params: RepairParams) -> Rank:
    """Ranks one candidate.

    The gate scores each place to repair. A picture without such a place is ranked by its detections below
    the threshold.

    Args:
        image: uint8 RGB (H, W, 3).
        inspector: finds the places; its detector and critic score them.
        params: repair parameters, which select the places; the policy is ignored.
    """
    counted = Counted(inspector.detector)
    counting = replace(inspector, detector=counted)
    looked = counting.inspect(image, replace(params, policy=Policy.MALFORMED))
    regions = looked.plan.regions
    if not regions:
        seen = counting.found(image, dict.fromkeys(counted.class_names, looked.gate_params.least_conf))
        suspected = [
            float(conf)
            for conf, i in zip(seen.conf, seen.class_id, strict=True)
            if is_malformed(counted.class_names[i])
        ]
        worst = max(suspected, default=0.0)
        return Rank(
            conf=worst,
            expected=sum(suspected),
            critic=None,
            defects=0,
            passes=counted.passes,
            is_empty=not looked.seen,
        )
    gate = Gate(counted, inspector.critic, looked.thresholds, looked.fusion, looked.gate_params)
    readings = []
    for index, region in enumerate(regions):
        near = window_of(region, image.shape[:2], inspector.native_px).box
        readings += gate.read([image], region, near, rivals_of(looked.plan, index))
    critics = [reading.critic for reading in readings if reading.critic is not None]
    scores = [reading.conf for reading in readings]
    return Rank(
        conf=max(scores),
        expected=sum(scores),
        critic=max(critics, default=None),
        defects=len(regions),
        passes=counted.passes,
    )
