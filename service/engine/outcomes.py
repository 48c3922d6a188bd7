"""Parts of the report beside the regions: unused parameters, and the reason of an outcome."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from detectors.body_parts import is_malformed
from service.core.params import MaskSource, Policy, RepairParams, WatchParams
from service.core.regions import MASK_CLASS, RepairPlan
from service.core.report import Outcome, Unused

_DEFAULT = RepairParams()
_OF_THE_SEARCH = (
    "classes",
    "policy",
    "max_regions",
    "merge_iou",
    "max_conf",
    "min_area",
    "max_area",
    "order",
)
_OF_THE_HEATMAP = ("mask_threshold", "mask_least_share")
_UNWISHED = ("max_regions", "mask")
"""Limits that leave out regions without a request to do so."""


def concluded(settled: Outcome, plan: RepairPlan, class_names: Collection[str]) -> tuple[Outcome, str]:
    """Returns the outcome of a picture and its reason, given the combined outcome of its regions.

    A picture is clean only if no defect was spared, and the detector has malformed classes or the policy is
    ``every``. It is repaired only if no limit left out a region.
    """
    reason = _spared(plan.spared)
    if settled is Outcome.CLEAN and plan.spared:
        return Outcome.NOTHING_ASKED, reason
    can_ask = plan.params.policy is Policy.EVERY or any(is_malformed(name) for name in class_names)
    if settled is Outcome.CLEAN and not can_ask:
        return Outcome.NOTHING_ASKED, (
            "the detector in use knows no malformed class; the policy `every` redraws what it finds"
        )
    if settled is Outcome.REPAIRED and any(name in plan.spared for name in _UNWISHED):
        return Outcome.PARTLY, reason
    return settled, reason


def unused_in_repair(plan: RepairPlan) -> tuple[Unused, ...]:
    """Returns the parameters of a plan that had no effect; those with the default value do not count."""
    params, is_painted = plan.params, plan.is_painted
    where_sought = [*_sought(params)] if is_painted else []
    told = [Unused(name, "a mask says what is redrawn") for name in where_sought]
    told += [
        Unused("per_class", "a mask says what is redrawn" if is_painted else "there is no mask", name)
        for name in params.per_class
        if (name == MASK_CLASS) is not is_painted
    ]
    if not is_painted and params.mask_source is not MaskSource.HEATMAP:
        told += [Unused(name, "mask_source is not `heatmap`") for name in _heat(params)]
    if params.nudge != _DEFAULT.nudge and not params.may_nudge:
        told.append(Unused("nudge", "no method is `nudge`"))
    if beyond := plan.spared.get("mask"):
        kept = "is left as it is" if beyond == 1 else "are left as they are"
        told.append(Unused("mask", f"{beyond} of its painted areas, the smallest, {kept}"))
    return tuple(told)


def unused_in_watch(watch: WatchParams | None) -> tuple[Unused, ...]:
    """Returns the parameters of a watch that had no effect."""
    if watch is None or watch.stop or watch.max_restarts == WatchParams().max_restarts:
        return ()
    return (Unused("watch.max_restarts", "no run is stopped"),)


def _sought(params: RepairParams) -> Iterator[str]:
    """Yields the parameters other than default that apply only to detected places."""
    yield from _changed(params, *_OF_THE_SEARCH, "mask_source", *_OF_THE_HEATMAP)


def _heat(params: RepairParams) -> Iterator[str]:
    yield from _changed(params, *_OF_THE_HEATMAP)


def _changed(params: RepairParams, *names: str) -> Iterator[str]:
    yield from (name for name in names if getattr(params, name) != getattr(_DEFAULT, name))


def _spared(spared: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count} by {name}" for name, count in spared.items())
    return f"left as they were: {counts}" if counts else ""
