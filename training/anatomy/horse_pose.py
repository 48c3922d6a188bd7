"""The pose of a horse as bone transforms, and the ways in which one leg can be malformed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.anatomy.bodies import Floats, about, rotation

LEG_BONES: tuple[tuple[str, ...], ...] = tuple(
    tuple(f"{bone}.{side}" for bone in chain)
    for chain in (
        ("FrontUpperLeg", "FrontLowerLeg", "IKFrontLeg", "FF"),
        ("BackUpperLeg", "BackLowerLeg", "IKBackLeg", "FFB"),
    )
    for side in ("L", "R")
)
"""From the elbow or stifle to the hoof: front left, front right, hind left, hind right."""

_EYE = np.eye(3, dtype=np.float32)
_SIDEWAYS = (1.0, 0.0, 0.0)
_FORWARD = (0.0, 0.0, 1.0)
_LEAST_GAP_M = 0.28


@dataclass(slots=True, eq=False)
class Pose:
    """Bone transforms under way: edits are applied in world space, one after the other.

    Attributes:
        bones: (B, 4, 4), bind pose to world.
        joints: (B, 3), the bones' origins in world space.
        index: bone name → row.
    """

    bones: Floats
    joints: Floats
    index: dict[str, int]

    def copy(self) -> Pose:
        """The same pose, to be edited apart."""
        return Pose(self.bones.copy(), self.joints.copy(), self.index)

    def rows(self, names: Sequence[str]) -> list[int]:
        """The rows of the named bones."""
        return [self.index[name] for name in names]

    def joint(self, name: str) -> Floats:
        """The origin of a bone, (3,)."""
        return np.array(self.joints[self.index[name]], np.float32)

    def move(self, names: Sequence[str], transform: Floats) -> None:
        """Apply a 4×4 world transform to bones."""
        for row in self.rows(names):
            self.bones[row] = transform @ self.bones[row]
            self.joints[row] = transform[:3, :3] @ self.joints[row] + transform[:3, 3]

    def carry(self, names: Sequence[str], by: Floats) -> None:
        """Translate bones in world space."""
        rows = self.rows(names)
        self.bones[rows, :3, 3] += by
        self.joints[rows] += by

    def stretch(self, chain: Sequence[str], along: float, across: float) -> None:
        """Scale each bone of a chain in its own direction and across it; the joints stay together."""
        for i, name in enumerate(chain[:-1]):
            start, end = self.joint(name), self.joint(chain[i + 1])
            axis = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
            linear = across * _EYE + (along - across) * np.outer(axis, axis)
            self.move([name], about(start, linear.astype(np.float32)))
            self.carry(chain[i + 1 :], (along - 1) * (end - start))
        last = self.joint(chain[-1])
        self.move(chain[-1:], about(last, across * _EYE))


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """Changes that a defect made besides moving bones.

    Attributes:
        hidden: the leg is no longer seen where it was.
        extra: the pose under which the leg's faces are drawn a second time.
    """

    hidden: bool = False
    extra: Pose | None = None


def missing(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """Shrink the leg into its root, inside the body."""
    bones = LEG_BONES[leg]
    root = pose.joint(bones[0])
    pose.move(bones, about(root, 0.01 * _EYE))
    hip = pose.joint("BackLeg.R" if leg % 2 else "BackLeg.L")
    inwards = np.array([-0.4 * root[0], 0.1, 0], np.float32) if leg < 2 else 0.35 * (hip - root)
    pose.carry(bones, inwards)
    return Edit(hidden=True)


def doubled(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """A second leg from the same root, in another pose, with its hoof away from the other hooves."""
    bones = LEG_BONES[leg]
    root = pose.joint(bones[0])
    hooves = np.stack([pose.joint(chain[-1]) for chain in LEG_BONES])[:, 1:]
    best, widest = pose, -1.0
    for angle in rng.permutation(np.radians([-45, -36, -28, -20, 20, 28, 36, 45])):
        extra = (pose if rng.random() < 0.5 else other).copy()
        extra.carry(bones, root - extra.joint(bones[0]))
        extra.move(bones, about(root, rotation(_SIDEWAYS, float(angle))))
        extra.carry(bones, np.array([rng.uniform(-0.04, 0.04), 0, 0], np.float32))
        hoof = extra.joint(bones[-1])[1:]
        gap = float(np.linalg.norm(hooves - hoof, axis=1).min())
        if gap > widest:
            best, widest = extra, gap
        if widest > _LEAST_GAP_M:
            break
    return Edit(extra=best)


_Range = tuple[float, float]
_PLACES: dict[str, tuple[str, tuple[float, float, float], _Range, _Range]] = {
    "back": ("Torso", (0.06, 0.06, 0.1), (-30, 30), (145, 175)),
    "belly": ("Torso2", (0.05, -0.2, -0.14), (-32, 32), (5, 25)),
    "chest": ("Torso3", (0.0, -0.05, 0.15), (-105, -75), (-5, 15)),
    "neck": ("Neck2", (0.03, 0.0, 0.0), (-80, -40), (10, 40)),
    "rump": ("Back", (0.05, -0.08, 0.0), (75, 120), (5, 25)),
}
"""Wrong places for a leg: near which bone, where from there (m, x outwards), its pitch and roll (degrees)."""


def misplaced(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """The leg grows from the back, the belly, the chest, the neck or the rump."""
    bones = LEG_BONES[leg]
    anchor, offset, pitch, roll = _PLACES[tuple(_PLACES)[rng.integers(len(_PLACES))]]
    extra = pose.copy()
    root, foot = pose.joint(bones[0]), pose.joint(bones[2])
    side = float(np.sign(root[0]))
    upright = float(np.arctan2(foot[2] - root[2], root[1] - foot[1]))
    extra.move(bones, about(root, rotation(_SIDEWAYS, upright + np.radians(rng.uniform(*pitch)))))
    extra.move(bones, about(root, rotation(_FORWARD, side * np.radians(rng.uniform(*roll)))))
    outwards = np.array([side, 1, 1], np.float32) * np.array(offset, np.float32)
    extra.carry(bones, pose.joint(anchor) + outwards - root)
    missing(pose, leg, other, rng)
    return Edit(hidden=True, extra=extra)


def bent(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """The knee bends forward, or the hock backward."""
    upper, lower, foot, _ = (pose.joint(bone) for bone in LEG_BONES[leg])
    before, after = lower - upper, foot - lower
    turn = np.arctan2(before[1], before[2]) - np.arctan2(after[1], after[2])
    wrong = -rng.uniform(70, 110) if leg < 2 else rng.uniform(60, 95)
    pose.move(LEG_BONES[leg][1:], about(lower, rotation(_SIDEWAYS, float(-turn + np.radians(wrong)))))
    return Edit()


def long(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """Half as long again, slanted as far as it must be to stay above the ground."""
    bones = LEG_BONES[leg]
    floor = min(float(pose.joint(chain[-1])[1]) for chain in LEG_BONES)
    pose.stretch(bones, 1.5, 1.1)
    root = pose.joint(bones[0])
    step = about(root, rotation(_SIDEWAYS, float(np.radians(-3 if leg < 2 else 3))))
    for _ in range(22):
        if pose.joint(bones[-1])[1] >= floor:
            break
        pose.move(bones, step)
    return Edit()


def short(pose: Pose, leg: int, other: Pose, rng: np.random.Generator) -> Edit:
    """Half as long."""
    pose.stretch(LEG_BONES[leg], 0.5, 1.0)
    return Edit()


DEFECT_EDITS: dict[str, Callable[[Pose, int, Pose, np.random.Generator], Edit]] = {
    "missing": missing,
    "doubled": doubled,
    "misplaced": misplaced,
    "bent": bent,
    "long": long,
    "short": short,
}
"""Each edits the pose of one leg in place; the other pose is of the same horse at another time."""
