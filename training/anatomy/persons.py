"""Posed and dressed people, whole bodies, with the defects that generated people have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from training.anatomy import rig as edit
from training.anatomy.bodies import NO_PART, Floats, Part, PosedBody
from training.anatomy.renderer import vertex_normals
from training.anatomy.rig import Rig, aim

POSES = ("standing", "walking", "waving", "arms up")
LIMBS = ("arm.L", "arm.R", "leg.L", "leg.R")
Directions = dict[str, tuple[float, float, float]]


def limb_chain(limb: str) -> tuple[str, ...]:
    """The bones of ``arm.L``, ``leg.R`` and so on, hand and foot included."""
    kind, side = limb.split(".")
    if kind == "leg":
        return tuple(f"{n}.{side}" for n in ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot"))
    fingers = [f"finger{f}-{j}" for f in "12345" for j in "123"]
    bones = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
    # In the copy that `duplicate` makes each bone hangs on the one before it: the hand follows rigidly.
    return tuple(f"{n}.{side}" for n in (*bones, *fingers, *(f"metacarpal{m}" for m in "1234")))


def _axis_bones(limb: str) -> tuple[str, str, str]:
    kind, side = limb.split(".")
    names = ("upperleg01", "lowerleg01", "foot") if kind == "leg" else ("upperarm01", "lowerarm01", "wrist")
    return tuple(f"{n}.{side}" for n in names)  # type: ignore[return-value]


def directions(pose: str, rng: np.random.Generator, held_out: bool) -> Directions:
    """Draws the directions of the limbs' upper and lower halves: x to the person's left, y up, z forward.

    Keys are ``arm.L`` (upper) and ``arm.L.lower``. Held-out poses lie in other angle ranges.
    """

    def near(x: float, y: float, z: float, spread: float = 0.12) -> tuple[float, float, float]:
        u = (np.floor(rng.random(3) * 4) + (rng.random(3) + held_out) / 2) / 4
        moved = np.array([x, y, z]) + spread * (2 * u - 1)
        return float(moved[0]), float(moved[1]), float(moved[2])

    made: Directions = {}
    stride = (0.15 + 0.35 * rng.random()) * rng.choice([-1, 1]) if pose == "walking" else 0.0
    lifted = {"waving": [str(rng.choice(["arm.L", "arm.R"]))], "arms up": ["arm.L", "arm.R"]}.get(pose, [])
    for limb in LIMBS:
        out = 1.0 if limb.endswith("L") else -1.0
        if limb.startswith("leg"):
            swing = stride * out
            made[limb] = near(0.07 * out, -1, swing, 0.06)
            made[limb + ".lower"] = near(0.03 * out, -1, swing - 0.3 * abs(stride), 0.06)
        elif limb in lifted:
            high = 0.25 if pose == "waving" else 0.75
            made[limb] = near(0.75 * out, high, 0.1)
            made[limb + ".lower"] = near(0.15 * out, 1, 0.1)
        else:
            swing = -stride * out * 0.9
            made[limb] = near(0.3 * out, -1, swing, 0.1)
            made[limb + ".lower"] = near(0.16 * out, -1, swing + 0.2, 0.14)
    return made


def riding(rng: np.random.Generator) -> Directions:
    """A rider's limbs: legs astride, hands at the reins."""
    made: Directions = {}
    for limb in LIMBS:
        out = 1.0 if limb.endswith("L") else -1.0
        j = rng.uniform(-0.08, 0.08, 4)
        if limb.startswith("leg"):
            made[limb] = (0.75 * out, -0.55 + j[0], 0.6 + j[1])
            made[limb + ".lower"] = (-0.1 * out, -1, -0.2 + j[2])
        else:
            made[limb] = (0.3 * out, -1, 0.3 + j[0])
            made[limb + ".lower"] = (-0.3 * out, -0.2 + j[1], 1)
    return made


def turns_for(rig: Rig, wanted: Directions, limbs: Sequence[str], suffix: str = "") -> dict[str, Floats]:
    """Bone turns that make limbs point as wanted."""
    turns: dict[str, Floats] = {}
    for limb in limbs:
        upper, lower, end = (rig.head(name + suffix) for name in _axis_bones(limb))
        first, second, _ = _axis_bones(limb)
        turn = aim(lower - upper, wanted[limb])
        turns[first + suffix] = turn
        turns[second + suffix] = aim(end - lower, turn.T @ np.asarray(wanted[limb + ".lower"], np.float32))
    return turns


Edited = tuple[Rig, dict[str, Floats]]


def _missing(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    out = 1.0 if limb.endswith("L") else -1.0
    inwards = np.array([-0.03 * out, 0.0, 0.0] if limb.startswith("arm") else [0.0, 0.05, 0.0], np.float32)
    return edit.remove(rig, limb_chain(limb), inwards), {}


def _doubled(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    """A third arm below the shoulder, or a third leg beside the hip, held apart from the first."""
    out = 1.0 if limb.endswith("L") else -1.0
    arm = limb.startswith("arm")
    move = np.eye(4, dtype=np.float32)
    move[:3, 3] = (-0.02 * out, -rng.uniform(0.08, 0.2), 0.0) if arm else (-0.03 * out, 0.0, 0.0)
    made = edit.duplicate(rig, limb_chain(limb), move, "+", "spine03" if arm else "spine05")
    spread = rng.uniform(0.7, 1.1) * out if arm else rng.uniform(0.45, 0.7) * out
    height = -0.35 if wanted[limb][1] > -0.3 else rng.choice([-0.45, 0.1])
    upper = (spread, height if arm else -1.0, rng.uniform(-0.2, 0.3))
    lower = (spread * 0.5, upper[1] - 0.3, upper[2]) if arm else (spread * 0.8, -1.0, upper[2])
    return made, turns_for(made, {limb: upper, limb + ".lower": lower}, [limb], "+")


def _misplaced(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    """An arm from the hip or the belly, a leg from the ribs; the usual place is empty."""
    out = 1.0 if limb.endswith("L") else -1.0
    arm = limb.startswith("arm")
    root = rig.head(limb_chain(limb)[0])
    place = np.array(
        [0.12 * out, rng.uniform(0.12, 0.25), 0.06] if arm else [0.14 * out, rng.uniform(0.3, 0.42), 0.03]
    )
    move = np.eye(4, dtype=np.float32)
    move[:3, 3] = place - root
    made = edit.duplicate(rig, limb_chain(limb), move, "+", "spine04")
    made = _missing(made, limb, wanted, rng)[0]
    upper = (rng.uniform(0.7, 1.0) * out, rng.uniform(-0.6, 0.1), rng.uniform(0.0, 0.5))
    return made, turns_for(
        made, {limb: upper, limb + ".lower": (upper[0], upper[1] - 0.3, upper[2])}, [limb], "+"
    )


def _bent(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    """Knee or elbow folded the way it cannot go: the shin forwards, the forearm backwards or outwards."""
    out = 1.0 if limb.endswith("L") else -1.0
    if limb.startswith("leg"):
        lower = (rng.choice([0.0, 0.9]) * out, rng.uniform(-0.2, 0.2), rng.uniform(0.7, 1.0))
    else:
        up = wanted[limb][1] > 0
        lower = (rng.uniform(0.8, 1.0) * out, -0.3 if up else rng.uniform(0.0, 0.5), -rng.uniform(0.4, 0.9))
    return rig, turns_for(rig, {limb: wanted[limb], limb + ".lower": lower}, [limb])


def _long(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    return edit.stretch(rig, limb_chain(limb)[:5], float(rng.uniform(1.45, 1.7))), {}


def _short(rig: Rig, limb: str, wanted: Directions, rng: np.random.Generator) -> Edited:
    return edit.stretch(rig, limb_chain(limb)[:5], float(rng.uniform(0.35, 0.5))), {}


DEFECTS: Mapping[str, Callable[[Rig, str, Directions, np.random.Generator], Edited]] = {
    "missing": _missing,
    "doubled": _doubled,
    "misplaced": _misplaced,
    "bent": _bent,
    "long": _long,
    "short": _short,
}


def dress(
    rig: Rig,
    skin_colour: Floats,
    hair: Floats,
    shirt: Floats,
    trousers: Floats,
    shoes: Floats,
    long_sleeves: bool,
    long_legs: bool,
    long_hair: bool,
) -> tuple[Floats, Floats]:
    """Colours (V, 3) by region, and rest vertices (V, 3) with the hair and clothes standing off the skin."""

    def weight(*begins: str) -> Floats:
        return rig.chain_weight([n for n in rig.names if n.startswith(begins)])

    colours = np.tile(skin_colour, (len(rig.rest), 1)).astype(np.float32)
    torso = weight("spine", "breast", "clavicle", "shoulder", "upperarm") > 0.5
    if long_sleeves:
        torso |= weight("spine", "breast", "clavicle", "shoulder", "upperarm", "lowerarm") > 0.6
    arms = weight("upperarm", "lowerarm", "wrist", "finger", "metacarpal") > 0.3
    waist = rig.head("upperleg01.L")[1] + 0.05
    legs = (weight("root", "pelvis", "upperleg") > 0.5) | ((rig.rest[:, 1] < waist) & torso & ~arms)
    if long_legs:
        legs |= weight("root", "pelvis", "upperleg", "lowerleg") > 0.6
    feet = weight("foot") > 0.5
    head = weight("head") > 0.6
    low, high = rig.rest[head].min(axis=0), rig.rest[head].max(axis=0)
    height = (rig.rest - low)[:, 1] / (high - low)[1]
    depth = (rig.rest - low)[:, 2] / (high - low)[2]
    covered = head & ((height > 0.82) | ((depth < 0.48) & (height > (0.05 if long_hair else 0.35))))
    for region, colour in ((torso, shirt), (legs, trousers), (feet, shoes), (covered, hair)):
        colours[region] = colour
    off = 0.006 * (torso | legs) + 0.014 * covered
    return colours, (rig.rest + off[:, None] * vertex_normals(rig.rest, rig.faces)).astype(np.float32)


def pose_person(
    rig: Rig,
    colours: Floats,
    wanted: Directions,
    defect: tuple[str, str] | None,
    rng: np.random.Generator,
    root: Floats,
) -> PosedBody:
    """A person under the 4×4 ``root``; ``defect`` is (limb, defect)."""
    edited, extra = rig, dict[str, Floats]()
    if defect is not None:
        edited, extra = DEFECTS[defect[1]](rig, defect[0], wanted, rng)
    turns = turns_for(edited, wanted, LIMBS) | extra
    vertices = edited.posed(turns, root)
    part_id = np.full(len(vertices), NO_PART, np.uint8)
    parts: list[Part] = []
    for limb in LIMBS:
        ours = (edited.chain_weight(limb_chain(limb)) > 0.5) & ~edited.copied
        name, ghost = None, None
        if defect is not None and defect[0] == limb:
            name = None if defect[1] == "doubled" else defect[1]
            if defect[1] == "missing":
                ghost = _ghost(rig, limb, root)
        if defect == (limb, "misplaced"):
            ours = edited.copied
        part_id[ours] = len(parts)
        parts.append(Part(limb[:3], name, ghost))
    if defect is not None and defect[1] == "doubled":
        part_id[edited.copied] = len(parts)
        parts.append(Part(defect[0][:3], "doubled"))
    return PosedBody("person", vertices, edited.faces, colours[edited.source], part_id, tuple(parts))


def _ghost(rig: Rig, limb: str, root: Floats) -> Floats:
    """Returns the points of a missing limb, (N, 3): it hangs straight down, whatever its pose was."""
    out = 1.0 if limb.endswith("L") else -1.0
    down = (0.25 * out, -1.0, 0.0) if limb.startswith("arm") else (0.05 * out, -1.0, 0.0)
    turns = turns_for(rig, {limb: down, limb + ".lower": down}, [limb])
    return rig.posed(turns, root)[rig.chain_weight(limb_chain(limb)) > 0.5]
