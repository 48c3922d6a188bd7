"""Arms of the open question: each has a stable id, a short name for tables and plots, and a description."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to a picture.

    Attributes:
        id: on the command line and in files; never changed.
        short: its letter, with the number of seeds where several arms share a letter.
        text: its description in tables.
        seeds: how many seeds it may try; None if it does not choose among the plain runs.
    """

    id: str
    short: str
    text: str
    seeds: int | None = None

    @property
    def letter(self) -> str:
        """The first letter of the short name."""
        return self.short[0]

    @property
    def label(self) -> str:
        """Letter and description, for tables."""
        return f"{self.letter}: {self.text}"


ARMS = (
    Arm(id="first_seed", short="a", text="what comes", seeds=1),
    Arm(id="seeds_2", short="b2", text="up to 2 seeds", seeds=2),
    Arm(id="seeds_3", short="b3", text="up to 3 seeds", seeds=3),
    Arm(id="seeds_4", short="b4", text="up to 4 seeds", seeds=4),
    Arm(id="redraw_once", short="c", text="every hand and limb redrawn once"),
    Arm(id="asdff", short="d", text="asdff"),
    Arm(id="repair", short="e", text="repair at the end"),
    Arm(id="watch_repair", short="f", text="watch and abort, then repair"),
    Arm(id="repair_in_flight", short="g", text="repair in flight, then at the end"),
    Arm(id="watch_repair_nudge", short="h", text="as f, with nudging"),
    Arm(id="redraw_once_if_better", short="i", text="as c, kept only if better"),
    Arm(id="best_of_3_repair", short="j", text="the best of three, then repair"),
    Arm(id="watch", short="k", text="watch and abort, no repair"),
    Arm(id="best_of_4", short="l", text="the best of four, no repair"),
)


def arm_named(name: str) -> Arm:
    """Returns the arm with this id, short name or label.

    Raises:
        argparse.ArgumentTypeError: if there is none.
    """
    for arm in ARMS:
        if name in (arm.id, arm.short, arm.label):
            return arm
    known = ", ".join(f"{arm.id} ({arm.short})" for arm in ARMS)
    raise argparse.ArgumentTypeError(f"{name!r} is no arm; allowed are {known}")


def arms_named(name: str) -> list[Arm]:
    """Returns the arms of an id, of a short name, or of several letters: ``watch_repair``, ``b4``, ``abd``.

    Raises:
        argparse.ArgumentTypeError: if there is none.
    """
    try:
        return [arm_named(name)]
    except argparse.ArgumentTypeError:
        if name and set(name) <= {arm.letter for arm in ARMS}:
            return [arm for arm in ARMS if arm.letter in name]
        raise
