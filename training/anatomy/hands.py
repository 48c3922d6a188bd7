"""Posed hands, seen large, with the defects that generated hands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from training.anatomy import rig as edit
from training.anatomy.bodies import NO_PART, Floats, Part, PosedBody, about, rotation
from training.anatomy.renderer import vertex_normals
from training.anatomy.rig import Rig

FINGERS = ("1", "2", "3", "4", "5")
POSES: Mapping[str, tuple[float, float, float, float, float]] = {
    "open": (5, 2, 2, 2, 2),
    "relaxed": (14, 15, 17, 19, 20),
    "pointing": (45, 4, 84, 86, 86),
    "fist": (48, 86, 88, 88, 86),
    "two": (45, 3, 3, 86, 86),
    "three": (45, 3, 3, 3, 84),
}
"""Mean bend in degrees of each joint, thumb to little finger."""
POSE_ODDS = {"open": 0.42, "relaxed": 0.2, "pointing": 0.1, "fist": 0.08, "two": 0.1, "three": 0.1}
_EXTENDED_DEG = 40.0
_NEEDS_ALL_FINGERS = ("missing", "short", "fused")
"""Defects that on a hand with folded fingers could be taken for another gesture."""


@dataclass(frozen=True, slots=True, eq=False)
class HandFrame:
    """Unit vectors of a hand at rest: out of the palm, and from the index to the little finger."""

    palm: Floats
    lateral: Floats
    along: Floats
    gap_m: float


def chain(finger: str, side: str = "R") -> tuple[str, str, str]:
    """The three bones of a finger, ``1`` (thumb) to ``5`` (little finger)."""
    return (f"finger{finger}-1.{side}", f"finger{finger}-2.{side}", f"finger{finger}-3.{side}")


def hand_frame(rig: Rig, side: str = "R") -> HandFrame:
    """Returns the directions of palm, fingers and little finger of a hand at rest."""
    wrist, middle = rig.head(f"wrist.{side}"), rig.head(f"finger3-1.{side}")
    index, little = rig.head(f"finger2-1.{side}"), rig.head(f"finger5-1.{side}")
    along = (middle - wrist) / np.linalg.norm(middle - wrist)
    across = little - index
    lateral = across - along * (across @ along)
    lateral /= np.linalg.norm(lateral)
    palm = np.cross(along, lateral) if side == "R" else np.cross(lateral, along)
    return HandFrame(palm.astype(np.float32), lateral, along, float(np.linalg.norm(across)) / 3)


def arm_with_hand(rig: Rig, side: str = "R") -> Rig:
    """Forearm and hand cut out of a whole body."""
    bones = [
        n
        for n in rig.names
        if n.endswith(f".{side}") and n.startswith(("lowerarm", "wrist", "finger", "metacarpal"))
    ]
    return edit.subset(rig, rig.chain_weight(bones) > 0.5, bones)


def finger_bends(
    rig: Rig,
    frame: HandFrame,
    bends_deg: Mapping[str, tuple[float, float, float]],
    spread_deg: Mapping[str, float],
    side: str = "R",
) -> dict[str, Floats]:
    """Turns by bone for ``Rig.posed``. Bends close the hand, spread goes to the little finger."""
    turns: dict[str, Floats] = {}
    centre = rig.head(f"wrist.{side}") + frame.along * 0.06 + frame.palm * 0.03
    sign = 1.0 if side == "R" else -1.0
    for name in rig.names:
        if not name.startswith("finger"):
            continue
        finger, joint = name[6], int(name[8]) - 1
        key = name[6] if len(name) <= 11 else name
        bends = bends_deg.get(key, bends_deg[finger])
        axis = -frame.lateral * sign if finger != "1" else _thumb_axis(rig, centre, side)
        turn = rotation(axis, np.radians(bends[joint]) * (0.6 if finger == "1" else 1))
        if joint == 0:
            turn = rotation(frame.palm * sign, np.radians(spread_deg.get(key, 0.0))) @ turn
        turns[name] = turn
    return turns


def _thumb_axis(rig: Rig, centre: Floats, side: str) -> Floats:
    base, tip = rig.head(f"finger1-2.{side}"), rig.head(f"finger1-3.{side}")
    return np.asarray(np.cross(tip - base, centre - base), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class HandPose:
    """The random choices for one hand, made before any defect so that both versions can be drawn."""

    name: str
    bends_deg: dict[str, tuple[float, float, float]]
    spread_deg: dict[str, float]

    def extended(self) -> list[str]:
        """Fingers that are straight enough for a defect to show."""
        fingers = FINGERS if self.name == "open" else FINGERS[1:]
        return [f for f in fingers if np.mean(self.bends_deg[f]) < _EXTENDED_DEG]


def sample_pose(rng: np.random.Generator, held_out: bool, defect: str | None) -> HandPose:
    """A pose in which the defect would show; held-out ones lie in other angle ranges than the trained."""
    allowed = ("open", "relaxed") if defect in _NEEDS_ALL_FINGERS else tuple(POSE_ODDS)
    if defect is not None:
        allowed = tuple(name for name in allowed if name != "fist")
    odds = np.array([POSE_ODDS[name] for name in allowed])
    name = str(rng.choice(allowed, p=odds / odds.sum()))

    # Two disjoint halves of the jitter's range, so that no held-out pose was trained on.
    def jitter(spread: float) -> float:
        u = rng.random()
        return float(spread * (2 * (np.floor(u * 4) + (rng.random() + held_out) / 2) / 4 - 1))

    bends = {}
    for finger, mean in zip(FINGERS, POSES[name], strict=True):
        common = mean + jitter(7)
        bends[finger] = (common + jitter(4), common + jitter(5), common * 0.7 + jitter(4))
    wide = abs(jitter(1.0)) * (9 if name in ("open", "two", "three") else 3)
    spread = {
        f: wide * step + jitter(1.5) for f, step in zip(FINGERS, (-0.8, -1.2, -0.25, 0.6, 1.5), strict=True)
    }
    return HandPose(name, bends, spread)


Edited = tuple[Rig, HandPose]


def _missing(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    frame = hand_frame(rig)
    return edit.remove(rig, chain(finger), -0.006 * frame.along), pose


def _added(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    """A sixth finger: outside the little finger, between thumb and index, or squeezed between two others."""
    frame = hand_frame(rig)
    place = rng.choice(["outside", "inside", "between"]) if finger != "1" else "inside"
    source, side = {"outside": ("5", 1.0), "inside": ("2", -1.0), "between": (finger, 1.0)}[str(place)]
    turn_deg, gap = {
        "outside": (rng.uniform(8, 24), 0.6),
        "inside": (rng.uniform(18, 34), 0.7),
        "between": (0.0, 0.5),
    }[str(place)]
    if place == "between" and source == "5":
        source = "4"
    move = np.eye(4, dtype=np.float32)
    move[:3, 3] = side * gap * frame.gap_m * frame.lateral - (0.01 if place != "between" else 0) * frame.along
    move = move @ about(rig.head(chain(source)[0]), rotation(frame.palm, np.radians(side * turn_deg)))
    made = edit.duplicate(rig, chain(source), move, "+", f"metacarpal{int(source) - 1}.R")
    bends, spread = dict(pose.bends_deg), dict(pose.spread_deg)
    for joint in chain(source):
        bends[joint + "+"] = (pose.bends_deg[source][0] + rng.uniform(-6, 6), *pose.bends_deg[source][1:])
        spread[joint + "+"] = pose.spread_deg[source]
    if place == "between":
        lower, upper = source, str(int(source) + 1)
        middle = (spread[lower] + spread[upper]) / 2
        for key in (f for f in FINGERS[1:] if f <= lower):
            spread[key] -= 6
        for key in (f for f in FINGERS[1:] if f >= upper):
            spread[key] += 6
        for joint in chain(source):
            spread[joint + "+"] = middle
    return made, HandPose(pose.name, bends, spread)


def _fused(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    """Two neighbours under one pose, drawn together until no gap is left."""
    frame = hand_frame(rig)
    free = [f for f in pose.extended() if f != "1"]
    pairs = [(a, b) for a, b in pairwise(free) if int(b) == int(a) + 1]
    first, second = pairs[int(rng.integers(len(pairs)))]
    by = 0.36 * frame.gap_m * frame.lateral
    moved = edit.shift(edit.shift(rig, chain(first), by, 1.15), chain(second), -by, 1.15)
    bends, spread = dict(pose.bends_deg), dict(pose.spread_deg)
    bends[second] = bends[first]
    spread[first] = spread[second] = (spread[first] + spread[second]) / 2
    return moved, HandPose(pose.name, bends, spread)


def _bent(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    """Backwards at the middle joint; the sideways kind is done at rest, as no joint bends that way."""
    if rng.random() < 0.3:
        bends = dict(pose.bends_deg)
        bends[finger] = (bends[finger][0], -float(rng.uniform(60, 95)), -float(rng.uniform(5, 25)))
        return rig, HandPose(pose.name, bends, pose.spread_deg)
    frame = hand_frame(rig)
    joint = chain(finger)[1]
    angle = np.radians(rng.uniform(55, 90) * rng.choice([-1, 1]))
    weight = rig.chain_weight(chain(finger)[1:])[:, None]
    move = about(rig.head(joint), rotation(frame.palm, angle))
    turned = rig.rest @ move[:3, :3].T + move[:3, 3]
    rest = (rig.rest + weight * (turned - rig.rest)).astype(np.float32)
    return replace(rig, rest=rest), pose


def _long(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    return edit.stretch(rig, chain(finger), float(rng.uniform(1.65, 2.0))), pose


def _short(rig: Rig, pose: HandPose, finger: str, rng: np.random.Generator) -> Edited:
    return edit.stretch(rig, chain(finger), float(rng.uniform(0.3, 0.45))), pose


DEFECTS: Mapping[str, Callable[[Rig, HandPose, str, np.random.Generator], Edited]] = {
    "added": _added,
    "missing": _missing,
    "fused": _fused,
    "bent": _bent,
    "long": _long,
    "short": _short,
}


def pose_hand(
    rig: Rig,
    pose: HandPose,
    skin_colour: Floats,
    sleeve: Floats | None,
    defect: str | None,
    rng: np.random.Generator,
    tilt: Floats,
) -> PosedBody:
    """One right hand, wrist at the origin, fingers up, palm to +z, then turned by the 3×3 ``tilt``."""
    frame = hand_frame(rig)
    colours = _colours(rig, frame, skin_colour, sleeve)
    edited, used = rig, pose
    if defect is not None:
        # A thumb can lie nearly any way, so a bent one would look natural.
        fingers = [f for f in pose.extended() if f != "1" or defect not in ("bent", "fused")]
        edited, used = DEFECTS[defect](rig, pose, str(rng.choice(fingers)), rng)
    turns = finger_bends(edited, frame, used.bends_deg, used.spread_deg)
    upright = np.stack([-frame.lateral, frame.along, frame.palm])
    root = np.eye(4, dtype=np.float32)
    root[:3, :3] = tilt @ upright
    root[:3, 3] = -root[:3, :3] @ rig.head("wrist.R")
    vertices = edited.posed(turns, root)
    bones = [n for n in edited.names if n.startswith(("finger", "metacarpal", "wrist"))]
    part_id = np.where(edited.chain_weight(bones) > 0.5, 0, NO_PART).astype(np.uint8)
    return PosedBody(
        "hand",
        vertices,
        edited.faces,
        colours[edited.source],
        part_id,
        (Part("hand", defect),),
        {"pose": pose.name},
    )


def _colours(rig: Rig, frame: HandFrame, skin_colour: Floats, sleeve: Floats | None) -> Floats:
    """(V, 3): palms are lighter, nails lighter still; the forearm may wear a sleeve."""
    facing = vertex_normals(rig.rest, rig.faces) @ frame.palm
    lighter = 0.5 * np.clip(facing, 0, 1)[:, None]
    colours = skin_colour + lighter * (np.array([0.93, 0.74, 0.66]) - skin_colour) * 0.6
    for finger in FINGERS:
        tip = chain(finger)[2]
        reach = (rig.rest - rig.head(tip)) @ frame.along
        nail = (rig.chain_weight([tip]) > 0.8) & (facing < -0.45) & (reach > 0.006)
        colours[nail] = skin_colour + 0.55 * (np.array([0.97, 0.82, 0.79]) - skin_colour)
    if sleeve is not None:
        colours[rig.chain_weight([n for n in rig.names if n.startswith("lowerarm")]) > 0.75] = sleeve
    return np.asarray(np.clip(colours, 0, 1), np.float32)
