"""The runs of a watched generator, as the report tells of them: frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BACK_SHARE = 0.2
"""How far, of the whole run, a repair in flight goes back from where the defect was seen."""


class RunEnd(StrEnum):
    """How one run of the generator ended."""

    FINISHED = "finished"
    ABORTED = "aborted"


class ThresholdsOrigin(StrEnum):
    """Where the watch's thresholds come from."""

    FITTED = "fitted"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What the watch held against a run.

    Attributes:
        rule: ``far_over``, ``seen_twice``, or ``one_place`` for what is repaired in flight.
        class_name: of the defect.
        conf: the detector's score of the surest place in the preview, in [0, 1].
        expected: the sum of its scores for the class: how many such defects are to be expected.
        threshold: the one that the sum reached.
        step: denoiser calls that were made by then.
        fraction: the calibrated fraction of the run whose threshold it was.
        xyxy: where, in pixels of the picture.
    """

    rule: str
    class_name: str
    conf: float
    expected: float
    threshold: float
    step: int
    fraction: float
    xyxy: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A run that was taken back to sample one place again; all else followed its old way exactly.

    Attributes:
        alarm: why.
        from_step: denoiser calls that stayed as they were.
        seed: of the fresh noise.
        cured: whether the watch had nothing more against it after that.
    """

    alarm: Alarm
    from_step: int
    seed: int
    cured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the generator for one picture.

    Attributes:
        seed: what it was made from.
        end: whether it was finished.
        step: denoiser calls after which it ended.
        steps: that a whole run takes.
        alarm: why it was stopped, or would have been; None if the watch had nothing against it.
        in_flight: the repair on its way, if there was one.
        chosen: whether the picture in the answer is this one.
        conf: how malformed the gate found the finished picture's worst place, in [0, 1]; None if it was not
            compared with others.
        critic: the critic's worst probability of malformed; None likewise, or if nothing was shown to it.
        defects: places to repair; None if it was not compared.
        denoiser_calls: that were really made; more than ``step`` after a repair in flight.
        decodes: full ones, of the finished picture.
        previews: cheap decodes for the watch.
        detector_passes: pictures shown to the detector, by the watch and to compare candidates.
    """

    seed: int
    end: RunEnd
    step: int
    steps: int
    alarm: Alarm | None = None
    in_flight: InFlight | None = None
    chosen: bool = False
    conf: float | None = None
    critic: float | None = None
    defects: int | None = None
    denoiser_calls: int = 0
    decodes: int = 0
    previews: int = 0
    detector_passes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a generated picture came about.

    Attributes:
        runs: all of them, in the order in which they were made.
        preview: what the watch looked through: ``own``, a ``taesd`` name or ``linear``; None if not watched.
        thresholds: where the watch's thresholds come from; None if not watched.
        notes: what one should know of it, in words.
    """

    runs: tuple[Run, ...]
    preview: str | None = None
    thresholds: ThresholdsOrigin | None = None
    notes: tuple[str, ...] = ()
