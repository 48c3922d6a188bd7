"""Records of the generator's runs, for the report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BACK_SHARE = 0.2
"""Distance, as a share of the whole run, by which a repair in flight goes back from the sighting."""


class RunEnd(StrEnum):
    """The end of one run of the generator."""

    FINISHED = "finished"
    ABORTED = "aborted"


class ThresholdsOrigin(StrEnum):
    """The origin of the watch's thresholds."""

    FITTED = "fitted"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A finding of the watch against a run.

    Attributes:
        rule: ``far_over``, ``seen_twice``, or ``one_place`` for a repair in flight.
        class_name: class of the defect.
        conf: the detector's highest score for the class in the preview, in [0, 1].
        expected: sum of the detector's scores for the class: the expected number of such defects.
        threshold: the threshold that the sum reached.
        step: number of denoiser calls made by then.
        fraction: the calibrated fraction of the run to which the threshold belongs.
        xyxy: box of the defect, in pixels of the picture.
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
    """A repair in flight: a run set back to sample one place again; all other latents stay exactly the same.

    Attributes:
        alarm: the reason.
        from_step: number of denoiser calls that were kept.
        seed: seed of the fresh noise.
        cured: True if the watch found no defect afterwards.
    """

    alarm: Alarm
    from_step: int
    seed: int
    cured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the generator for one picture.

    Attributes:
        seed: seed of the run.
        end: finished or aborted.
        step: number of denoiser calls after which it ended.
        steps: number of denoiser calls of a whole run.
        alarm: the reason why it was stopped, or would have been; None if the watch found nothing.
        in_flight: the repair in flight, if there was one.
        chosen: True if the picture in the answer comes from this run.
        conf: the gate's score of the worst place in the finished picture, in [0, 1]; None if it was not
            compared with others.
        critic: the critic's worst probability of malformed; None if it was not compared or nothing was
            shown to the critic.
        defects: number of places to repair; None if it was not compared.
        denoiser_calls: number of denoiser calls made; more than ``step`` after a repair in flight.
        decodes: number of full decodes, of the finished picture.
        previews: number of cheap decodes for the watch.
        detector_passes: number of pictures shown to the detector, by the watch and to compare candidates.
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
    """The runs behind one generated picture.

    Attributes:
        runs: all runs, in order.
        preview: the watch's preview decoder: ``own``, a ``taesd`` name or ``linear``; None if not watched.
        thresholds: origin of the watch's thresholds; None if not watched.
        notes: remarks for the reader, in plain text.
    """

    runs: tuple[Run, ...]
    preview: str | None = None
    thresholds: ThresholdsOrigin | None = None
    notes: tuple[str, ...] = ()
