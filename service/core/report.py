"""The report: every decision that led to a finished picture, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from detectors.detections import Image
from service.core.regions import Region
from service.core.runs import Sampling


class Outcome(StrEnum):
    """The outcome for one picture; ``clean`` means inspected and without defects."""

    CLEAN = "clean"
    REPAIRED = "repaired"
    PARTLY = "partly"
    UNREPAIRED = "unrepaired"
    NOTHING_ASKED = "nothing_asked"


class Verdict(StrEnum):
    """The gate's verdict on one attempt."""

    ACCEPTED = "accepted"
    STILL_MALFORMED = "still_malformed"
    PART_LOST = "part_lost"
    NEW_DEFECT = "new_defect"
    CRITIC_DISAGREES = "critic_disagrees"
    VISIBLE_SEAM = "visible_seam"
    FOREIGN_COLOUR = "foreign_colour"
    NOT_BETTER = "not_better"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One candidate and the gate's scores for it.

    Attributes:
        conf: the worst malformed score in the region afterwards, in [0, 1].
        critic: the critic's probability of malformed, in [0, 1]; None without a critic.
        seam: colour step across the mask's edge relative to the one before; about 1 is unchanged.
        foreign_colour: share of the mask in a colour that was not there before, in [0, 1]; 0 if other
            colours were requested.
        guide_before: the guide's defect energy before the first nudge; None without nudging.
        guide_after: the same after the last nudge. Only their difference has a meaning.
    """

    method: str
    strength: float
    seed: int
    conf: float
    critic: float | None
    seam: float
    foreign_colour: float
    verdict: Verdict
    guide_before: float | None = None
    guide_after: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RegionOutcome:
    """The outcome for one region. ``conf_after`` is the score of the pixels in the answer."""

    region: Region
    attempts: tuple[Attempt, ...]
    accepted: bool
    reason: str
    conf_after: float


@dataclass(frozen=True, slots=True)
class Unused:
    """One input that had no effect, or only a part of the requested effect.

    Attributes:
        name: the parameter, as the caller wrote it.
        reason: the reason, and what is done instead.
        where: the part without effect, if it is not the whole input.
    """

    name: str
    reason: str
    where: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RepairReport:
    """One finished picture with every decision that led to it.

    Attributes:
        image: the answer, uint8 RGB; the same array as ``original`` if nothing was accepted.
        original: the uploaded or first generated picture, uint8 RGB.
        seed: the seed of the picture.
        timings_s: seconds by phase (``generate``, ``detect``, ``repair``).
        sampling: the runs from which it was chosen; None for an upload.
        unused: inputs that had no effect.
        reason: an explanation of ``outcome``; empty if none is needed.
    """

    image: Image
    original: Image
    seed: int
    outcome: Outcome
    regions: tuple[RegionOutcome, ...]
    models: Mapping[str, str]
    timings_s: Mapping[str, float]
    sampling: Sampling | None = None
    unused: tuple[Unused, ...] = ()
    reason: str = ""
