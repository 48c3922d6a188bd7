"""Retention of pictures: limits on their age and on their total size."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from service.store.images import ImageStore, Stored


@dataclass(frozen=True, slots=True)
class Retention:
    """The limits of retention. ``None`` sets no limit.

    Attributes:
        max_age_s: the maximum age, in seconds since the picture was last put.
        max_bytes: the maximum size of all pictures together; the oldest are removed first.
        grace_s: younger pictures always stay, in seconds: their job may not have recorded yet that it needs
            them.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None
    grace_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Removed:
    """The number and size of the removed pictures."""

    pictures: int
    size_bytes: int


def expired(
    stored: Iterable[Stored], retention: Retention, pinned: Collection[str], now_s: float
) -> list[Stored]:
    """Returns the pictures to remove, oldest first.

    Args:
        stored: all stored pictures.
        retention: the limits.
        pinned: the sha256 of pictures that stay at any age; they count towards the total.
        now_s: the current time, in seconds since the epoch.
    """
    everything = sorted(stored, key=lambda entry: (entry.modified_s, entry.sha256))
    total = sum(entry.size_bytes for entry in everything)
    kept = frozenset(pinned)
    chosen = []
    for entry in everything:
        age_s = now_s - entry.modified_s
        too_old = retention.max_age_s is not None and age_s > retention.max_age_s
        too_much = retention.max_bytes is not None and total > retention.max_bytes
        if (too_old or too_much) and age_s >= retention.grace_s and entry.sha256 not in kept:
            chosen.append(entry)
            total -= entry.size_bytes
    return chosen


def sweep(store: ImageStore, retention: Retention, pinned: Collection[str]) -> Removed:
    """Removes the expired pictures, and the remains of interrupted writes.

    A picture that is put again in the meantime stays.

    Raises:
        StorageUnavailable, OSError: if the store fails; what was removed before stays removed.
    """
    store.tidy(retention.grace_s)
    removed = [
        entry.size_bytes
        for entry in expired(store.entries(), retention, pinned, time.time())
        if store.delete(entry.sha256, unless_younger_than_s=retention.grace_s)
    ]
    return Removed(len(removed), sum(removed))
