"""What is asked and what is answered: the frozen records that flow through the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from detectors.detections import Box, Image, Mask
from service.core.model_limits import ModelLimits
from service.core.params import Policy, RepairParams
from service.core.runs import Sampling, WatchParams

__all__ = [
    "SILENT",
    "Attempt",
    "Box",
    "GenerateRequest",
    "JobKind",
    "JobState",
    "Listener",
    "ModelCard",
    "Outcome",
    "Policy",
    "Region",
    "RegionOutcome",
    "RepairParams",
    "RepairPlan",
    "RepairReport",
    "RepairRequest",
    "Silent",
    "Unused",
    "Verdict",
]


class Outcome(StrEnum):
    """What became of one picture: ``clean`` only where it was looked and nothing is wrong."""

    CLEAN = "clean"
    REPAIRED = "repaired"
    PARTLY = "partly"
    UNREPAIRED = "unrepaired"
    NOTHING_ASKED = "nothing_asked"


class JobKind(StrEnum):
    """What is to be done."""

    GENERATE = "generate"
    REPAIR = "repair"
    DETECT = "detect"


class JobState(StrEnum):
    """How far it is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


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


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One wish for pictures. ``None`` sizes and steps mean the model's own defaults.

    Attributes:
        best_of: candidates for each picture; the one that looks best is taken.
        watch: how they are watched; not at all if None.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    num_images: int = 1
    repair: RepairParams | None = field(default_factory=RepairParams)
    best_of: int = 1
    watch: WatchParams | None = None

    @property
    def seeds_per_image(self) -> int:
        """How many seeds running belong to each picture, so that no two pictures share one.

        Picture ``i`` takes them from ``seed + i * seeds_per_image`` on: its candidates first, then restarts.
        """
        watch = self.watch
        return self.best_of + (watch.max_restarts if watch is not None and watch.stop else 0)


@dataclass(frozen=True, slots=True, eq=False)
class RepairRequest:
    """One picture to look through.

    Attributes:
        image: uint8 RGB (H, W, 3).
        mask: float32 (H, W) in [0, 1], 1 = repaint; boxes are then not sought.
        dry_run: plan only, change nothing.
    """

    image: Image
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    params: RepairParams = field(default_factory=RepairParams)
    mask: Mask | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One place to redraw: where, why, and its two masks (full-image size).

    Attributes:
        number: its place among all that were found to be repaired, before ``only`` and ``skip``.
    """

    xyxy: Box
    class_name: str
    conf: float
    denoise_mask: Mask
    composite_mask: Mask
    number: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RepairPlan:
    """What will be redrawn, in this order.

    Attributes:
        spared: how many defects or painted areas are left as they are, by the parameter that says so.
        is_painted: a mask said where, and nothing was sought.
    """

    regions: tuple[Region, ...]
    params: RepairParams
    spared: Mapping[str, int] = field(default_factory=dict)
    is_painted: bool = False


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True, eq=False)
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


@dataclass(frozen=True, slots=True, eq=False)
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


class Listener(Protocol):
    """Told how the work goes, from the thread that does it; what a method raises ends the work at once."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """``phase`` is ``generate``, ``detect`` or ``repair``; ``done`` runs to ``total``."""
        ...

    def wants_preview(self) -> bool:
        """Whether ``preview`` should be told now: what nobody sees need not be decoded."""
        ...

    def preview(self, picture: int, step: int, image: Image) -> None:
        """What the picture of this index in the request looks like after so many steps; uint8 RGB."""
        ...

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """What is to be repaired in a picture."""
        ...

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """One attempt at one region of a picture, by their indices."""
        ...


class Silent:
    """The listener of those who do not want to know, and the base of those who want to know a part."""

    def progress(self, phase: str, done: int, total: int) -> None:
        """Says nothing."""

    def wants_preview(self) -> bool:
        """Nobody looks."""
        return False

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Says nothing."""

    def found(self, picture: int, regions: Sequence[Region]) -> None:
        """Says nothing."""

    def tried(self, picture: int, region: int, attempt: Attempt) -> None:
        """Says nothing."""


SILENT = Silent()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One loaded model, in the words of ``GET /models``.

    Attributes:
        role: ``generator``, ``inpainter``, ``detector`` or ``critic``.
        id: name and hash, as written in every report.
        source: where it was loaded from: ``bundled``, a path or a hub id.
        family: the pipeline or network class.
        native_size_hw: height and width in pixels that the model works at; None if it takes any.
        defaults: what is used where a request says nothing.
        limits: what it can be asked for; None if it draws nothing.
    """

    role: str
    id: str
    source: str
    family: str
    native_size_hw: tuple[int, int] | None
    defaults: Mapping[str, object]
    limits: ModelLimits | None = None
