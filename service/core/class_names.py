"""Selection of a detector's classes by a request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from detectors.body_parts import is_malformed, part_of
from service.core.params import Policy, RepairParams


def wanted_classes(class_names: Collection[str], params: RepairParams) -> frozenset[str]:
    """Returns the class names to look for under a policy.

    A part's name in ``params.classes`` stands for its malformed class too. Context classes, which have no
    malformed class (a person, a horse), are redrawn only if they are named or if the detector has no
    malformed classes at all.
    """
    parts = {part_of(name) for name in class_names if is_malformed(name)} or set(class_names)
    named = set(params.classes)
    if params.policy is Policy.EVERY:
        allowed = {name for name in class_names if part_of(name) in parts or name in named}
    else:
        allowed = {name for name in class_names if is_malformed(name)}
    return frozenset(name for name in allowed if not named or name in named or part_of(name) in named)


def repairable_classes(class_names: Collection[str], params: RepairParams) -> list[str]:
    """Returns the class names that select something to repair under the same policy when named alone."""
    return [name for name in class_names if wanted_classes(class_names, replace(params, classes=(name,)))]
