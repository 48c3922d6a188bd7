"""The report: every decision that led to a finished picture, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from detectors.detections import Image
from service.core.regions import Region
from service.core.runs import Sampling


class Outcome(StrEnum):
    """What became of one picture: ``clean`` only where it was looked and nothing is wrong."""

    CLEAN = "clean"
    REPAIRED = "repaired"
    PARTLY = "partly"
    UNREPAIRED = "unrepaired"
    NOTHING_ASKED = "nothing_asked"


class Verdict(StrEnum):
    """What the gate said about one attempt."""

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
    """One candidate and what the gate said of it.

    Attributes:
        conf: the worst malformed score the gate saw in the region afterwards, in [0, 1].
        critic: the critic's probability of malformed, in [0, 1]; None without a critic.
        seam: colour step across the mask's edge relative to the one before; about 1 is unchanged.
        foreign_colour: share of the mask in a colour that was not there before, in [0, 1]; 0 where other
            colours were asked for.
        guide_before: the defect energy that the guide saw before its first nudge; None without nudging.
        guide_after: the same after its last one. Only their difference means something.
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
    """What became of one region. ``conf_after`` is that of the pixels in the answer."""

    region: Region
    attempts: tuple[Attempt, ...]
    accepted: bool
    reason: str
    conf_after: float


@dataclass(frozen=True, slots=True)
class Unused:
    """One input that had no effect, or not all of the effect that was asked for.

    Attributes:
        name: the parameter, as the caller wrote it.
        reason: why, and what is done in its place.
        where: which part of it, where that is not all.
    """

    name: str
    reason: str
    where: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RepairReport:
    """One finished picture with every decision that led to it.

    Attributes:
        image: the answer, uint8 RGB; the very same array as ``original`` if nothing was accepted.
        original: what came in or was first generated.
        seed: what it was made from.
        timings_s: seconds by phase (``generate``, ``detect``, ``repair``).
        sampling: the runs that it was chosen from; None for an upload.
        unused: inputs that had no effect.
        reason: what ``outcome`` alone does not say; empty where it says all.
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
