"""Posed horses from rigged meshes: individuals, coats, gaits, and legs that are malformed on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import NO_PART, Floats, Part, PosedBody, about, rotation, skin
from training.anatomy.gltf import RiggedMesh, load_rigged
from training.anatomy.horse_pose import DEFECT_EDITS, LEG_BONES, Edit, Pose

DEFECTS = tuple(DEFECT_EDITS)
"""Names of the ways in which a leg can be malformed."""

GAITS = {
    "standing": ("Idle", "Idle_2", "Idle_Headlow"),
    "walking": ("Walk",),
    "galloping": ("Gallop",),
    "eating": ("Eating",),
}
"""Gait → clips. ``eating`` is drawn only when asked for."""

_FILES = ("Horse.glb", "Horse_White.glb")
_FRAMES = {"Idle": 80, "Idle_2": 80, "Idle_Headlow": 80, "Walk": 120, "Gallop": 120, "Eating": 120}
_TRAINING_SHARE = 0.7
_GROUPS = {
    "Main": "body", "Main_Light": "body", "Main_Dark": "body", "Muzzle": "body",
    "Hair": "hair", "Hooves": "hoof", "Eye_Black": "eye", "Eye_White": "eye",
}  # fmt: skip
_METRES = 0.487
_MIXED_SHARE, _MIXED_LEG = 0.6, 0.7
"""Of the training horses that stand as no clip has them, and of their legs."""
_SWING_SD, _BEND_SD = 0.08, 0.06
"""How far such a leg is swung from its root and bent in its middle, in radians."""
_HEAD = ("Head", *(f"Ear{i}.{side}" for i in range(1, 5) for side in "LR"))
_NECK = ("Neck1", "Neck2", "Neck3")
_TAIL = tuple(f"Tail{i}" for i in range(1, 8))
_TRUNK = (
    "Back", "Torso", "Torso2", "Torso3",
    *(f"{bone}.{side}" for bone in ("FrontShoulder", "BackShoulder", "BackLeg") for side in "LR"),
)  # fmt: skip
_BINS = 10
_BESIDE = 0.25
"""How far beside a lone leg the missing one is looked for, as a share of the leg's height."""

_COATS: dict[str, tuple[tuple[float, float, float], tuple[tuple[float, float, float], ...]]] = {
    "brown": ((0.40, 0.26, 0.17), ((0.10, 0.08, 0.07), (0.20, 0.13, 0.09))),
    "black": ((0.11, 0.10, 0.105), ((0.06, 0.06, 0.06),)),
    "white": ((0.91, 0.90, 0.87), ((0.95, 0.93, 0.88), (0.82, 0.79, 0.72))),
    "grey": ((0.55, 0.56, 0.58), ((0.30, 0.30, 0.32), (0.80, 0.80, 0.80))),
    "chestnut": ((0.60, 0.29, 0.14), ((0.45, 0.20, 0.10), (0.80, 0.60, 0.38))),
    "golden": ((0.83, 0.62, 0.33), ((0.95, 0.89, 0.74), (0.90, 0.80, 0.60))),
}
"""Coat → body colour and the mane colours that go with it (sRGB)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """One loaded mesh and what is worked out from it once.

    Attributes:
        strongest: (V, 4), the bones that move each vertex.
        strength: (V, 4), their weights.
        leg_share: (4, V), the weight of each leg's bones.
        height: (V,), standing height in metres at rest.
        saddle: index of the vertex on top of the back's middle.
        upright: (3, 3), the inverse of the trunk's linear part when it stands.
        toe_height: height of the hoof joints above the ground when standing.
    """

    mesh: RiggedMesh
    index: dict[str, int]
    strongest: NDArray[np.intp]
    strength: Floats
    leg_share: Floats
    height: Floats
    saddle: int
    upright: Floats
    toe_height: float


class HorseSource:
    """Draws posed horses; everything random comes from the generator that is passed in."""

    def __init__(self, assets: Path) -> None:
        """Load the rigged meshes in the folder ``assets``."""
        self._models = tuple(_load(assets / name) for name in _FILES)

    def sample(
        self, rng: np.random.Generator, *, defect: str | None, held_out: bool, gait: str | None = None
    ) -> PosedBody:
        """Draw a horse facing +z, its hooves on y = 0; ``held_out``: shapes and poses of their own."""
        return self.sample_with_saddle(rng, defect=defect, held_out=held_out, gait=gait)[0]

    def sample_with_saddle(
        self, rng: np.random.Generator, *, defect: str | None, held_out: bool, gait: str | None = None
    ) -> tuple[PosedBody, Floats]:
        """As ``sample``, and the saddle's 4×4 frame: x is the horse's left, y up, z to the head."""
        model = self._models[rng.integers(len(self._models))]
        gait = gait or ("standing", "walking", "galloping")[rng.integers(3)]
        clip = GAITS[gait][rng.integers(len(GAITS[gait]))]
        pose, other = (_pose(model, clip, rng, held_out) for _ in range(2))
        if not held_out and rng.random() < _MIXED_SHARE:
            for one in (pose, other):
                _mix_legs(model, clip, one, rng)
        toes = pose.joints[pose.rows([chain[-1] for chain in LEG_BONES]), 1]
        clearance = max(0.0, float(toes.min()) - model.toe_height) * (gait == "galloping")
        _individual(rng, held_out, [pose, other] if defect == "doubled" else [pose], gait == "standing")
        size = 1.0 + _draw(rng, -0.06, 0.06, held_out)
        leg = int(rng.integers(4))
        coat, colours = _coat(model, rng)
        edit = DEFECT_EDITS[defect](pose, leg, other, rng) if defect else Edit()
        vertices = _skinned(model, pose)
        body = _assemble(model, vertices, colours, leg, defect, edit)
        middle = (pose.joint("Back") + pose.joint("Torso3"))[2] / 2
        lowest = body.vertices[:, 1].min()
        origin = np.array([0, lowest - clearance, middle], np.float32)
        placed = _placed(body, origin, size, {"coat": coat, "gait": gait})
        return placed, _saddle(model, pose, vertices, origin, size)


def _load(path: Path) -> _Model:
    """Read one mesh, in metres, and measure it in its standing pose."""
    mesh = load_rigged(path, _FRAMES, _GROUPS)
    for name in mesh.clips:
        mesh.clips[name][:, :, :3] *= _METRES
        mesh.joints[name][:] *= _METRES
    index = {name: i for i, name in enumerate(mesh.bones)}
    share = np.stack([mesh.weights[:, [index[bone] for bone in chain]].sum(axis=1) for chain in LEG_BONES])
    standing = skin(mesh.vertices, mesh.weights, mesh.clips["Idle"][0])
    joints = mesh.joints["Idle"][0]
    seat = (0.2 * joints[index["Torso"]] + 0.8 * joints[index["Torso2"]])[2]
    onto = np.abs(standing[:, 2] - seat) + 2 * np.abs(standing[:, 0]) + 0.7 * np.abs(1.55 - standing[:, 1])
    trunk = mesh.clips["Idle"][0, index["Torso2"], :3, :3]
    toe = float(min(joints[index[chain[-1]], 1] for chain in LEG_BONES) - standing[:, 1].min())
    height = (standing[:, 1] - standing[:, 1].min()).astype(np.float32)
    strongest = np.argsort(-mesh.weights, axis=1)[:, :4]
    strength = np.take_along_axis(mesh.weights, strongest, axis=1)
    saddle, upright = int(onto.argmin()), np.linalg.inv(trunk)
    return _Model(mesh, index, strongest, strength, share, height, saddle, upright, toe)


def _skinned(model: _Model, pose: Pose) -> Floats:
    """(V, 3) as ``skin`` gives it, from the four bones of each vertex: a few times as fast."""
    rows = pose.bones[:, :3].reshape(-1, 12)[model.strongest]
    blended = np.einsum("vk,vkc->vc", model.strength, rows).reshape(-1, 3, 4)
    moved = np.einsum("vij,vj->vi", blended[:, :, :3], model.mesh.vertices) + blended[:, :, 3]
    return np.asarray(moved, np.float32)


def _draw(rng: np.random.Generator, low: float, high: float, held_out: bool) -> float:
    """Uniform on every other of ``_BINS`` bands of [low, high): odd bands are held out."""
    band = 2 * int(rng.integers(_BINS // 2)) + held_out
    return low + (high - low) * (band + float(rng.random())) / _BINS


def _pose(model: _Model, clip: str, rng: np.random.Generator, held_out: bool) -> Pose:
    """A moment of the clip; the last part of every clip is held out. Eating horses have their heads down."""
    count = len(model.mesh.clips[clip])
    split = int(_TRAINING_SHARE * count)
    frames = np.arange(split, count) if held_out else np.arange(split)
    if clip == "Eating":
        head = model.mesh.joints[clip][frames, model.index["Head"], 1]
        frames = frames[head < 0.9]
    frame = int(frames[rng.integers(len(frames))])
    return Pose(model.mesh.clips[clip][frame].copy(), model.mesh.joints[clip][frame].copy(), model.index)


def _mix_legs(model: _Model, clip: str, pose: Pose, rng: np.random.Generator) -> None:
    """Give most legs the pose that they have at other moments of the clip, swung and bent a little.

    A detector must judge the body and not the gait: one that had seen nothing but the clips' moments
    called every fifth well-formed horse of other moments malformed.
    """
    for chain in LEG_BONES:
        if rng.random() < _MIXED_LEG:
            donor, rows, root = _pose(model, clip, rng, False), pose.rows(chain), pose.joint(chain[0])
            pose.bones[rows], pose.joints[rows] = donor.bones[rows], donor.joints[rows]
            pose.carry(chain, root - pose.joint(chain[0]))
        swing, bend = rng.normal(0, _SWING_SD), rng.normal(0, _BEND_SD)
        pose.move(chain, about(pose.joint(chain[0]), rotation((1, 0, 0), swing)))
        pose.move(chain[1:], about(pose.joint(chain[1]), rotation((1, 0, 0), bend)))


def _individual(rng: np.random.Generator, held_out: bool, poses: Sequence[Pose], standing: bool) -> None:
    """One individual's proportions and carriage, given to each of the poses."""
    legs, thick = _draw(rng, 0.88, 1.12, held_out), _draw(rng, 0.95, 1.3, held_out)
    neck, girth = _draw(rng, 0.88, 1.15, held_out), _draw(rng, 0.9, 1.15, held_out)
    wide, deep = _draw(rng, 0.88, 1.22, held_out), _draw(rng, 0.95, 1.08, held_out)
    head, tail = _draw(rng, 0.9, 1.12, held_out), _draw(rng, 0.85, 1.25, held_out)
    nod, turn = _draw(rng, -0.2, 0.2, held_out), _draw(rng, -0.3, 0.3, held_out)
    # One leg of a pair stands before the other, or a picture from the side would show two legs.
    apart = [_draw(rng, 0.08, 0.19, held_out) * rng.choice([-1, 1]) for _ in range(2)]
    steps = [side * pair + rng.uniform(-0.03, 0.03) for pair in apart for side in (1, -1)]
    carriage = rotation((0, 1, 0), turn) @ rotation((1, 0, 0), nod)
    for pose in poses:
        middle = pose.joint("Torso2") * np.array([0, 1, 1], np.float32)
        trunk = about(middle, np.diag(np.array([wide, deep, 1], np.float32)))
        for chain, step in zip(LEG_BONES, steps, strict=True):
            pose.stretch(chain, legs, thick)
            root = pose.joint(chain[0])
            if standing:
                pose.move(chain, about(root, rotation((1, 0, 0), step)))
            moved = trunk[:3, :3] @ root + trunk[:3, 3]
            pose.carry(chain, moved - root)
        pose.move(_TRUNK, trunk)
        pose.stretch(_TAIL, tail, girth)
        pose.move([*_NECK, *_HEAD], about(pose.joint("Neck1"), carriage))
        _stretch_neck(pose, neck, girth, head)


def _stretch_neck(pose: Pose, along: float, across: float, head: float) -> None:
    """Scale the neck, carry the head and ears with it, then scale the head as a whole."""
    before = pose.joint("Head")
    ears = [name for name in _HEAD if name != "Head"]
    pose.stretch([*_NECK, "Head"], along, 1.0)
    for name in _NECK:
        linear = np.diag([across, 1, 1]).astype(np.float32)
        pose.move([name], about(pose.joint(name), linear))
    pose.carry(ears, pose.joint("Head") - before)
    pose.move(_HEAD, about(pose.joint("Head"), head * np.eye(3, dtype=np.float32)))


def _coat(model: _Model, rng: np.random.Generator) -> tuple[str, Floats]:
    """A coat's name and the colour of every vertex."""
    coat = tuple(_COATS)[rng.integers(len(_COATS))]
    base, manes = _COATS[coat]
    body = np.array(base) * rng.uniform(0.9, 1.1) + rng.uniform(-0.015, 0.015, 3)
    mane = np.array(manes[rng.integers(len(manes))]) * rng.uniform(0.9, 1.05)
    blaze = np.array([0.92, 0.9, 0.86]) if rng.random() < 0.35 else body
    hoof = np.array([0.17, 0.14, 0.12]) * rng.uniform(0.7, 1.5)
    palette = {
        "Main": body, "Main_Light": body * 0.75 + [0.08, 0.04, 0.04], "Main_Dark": blaze,
        "Muzzle": body * 0.6, "Hair": mane, "Hooves": hoof,
        "Eye_Black": np.full(3, 0.05), "Eye_White": np.full(3, 0.35),
    }  # fmt: skip
    colours = np.array([palette[name] for name in model.mesh.materials])[model.mesh.material]
    skin_like = np.isin(model.mesh.material, [i for i, m in enumerate(model.mesh.materials) if m == "Main"])
    dark = coat == "brown" and rng.random() < 0.5
    for share in model.leg_share:
        white = rng.random() < 0.3
        if white or dark:
            top = rng.uniform(0.2, 0.45) if white else rng.uniform(0.5, 0.7)
            mark = np.array([0.9, 0.88, 0.85]) if white else np.array([0.12, 0.09, 0.08])
            amount = np.clip((top - model.height) / 0.06, 0, 1) * (share > 0.5) * skin_like
            colours += amount[:, None] * (mark - colours)
    shade = 1 - 0.12 * np.clip((0.95 - model.height) / 0.4, 0, 1) * rng.random()
    return coat, np.clip(colours * shade[:, None], 0.02, 0.98).astype(np.float32)


def _assemble(
    model: _Model, vertices: Floats, colours: Floats, leg: int, defect: str | None, edit: Edit
) -> PosedBody:
    """The labelled body, with the leg's faces drawn a second time where the edit asks for it."""
    mesh = model.mesh
    share = model.leg_share
    owner = np.where(share.max(axis=0) > 0.5, share.argmax(axis=0), NO_PART).astype(np.uint8)
    members = owner == leg
    parts = [Part("leg") for _ in LEG_BONES]
    if defect == "missing":
        # The picture does not show where the missing leg would stand, but that the other stands alone.
        parts[_other_of_pair(leg)] = Part("leg", defect, beside=_BESIDE)
    elif defect == "doubled":
        parts.append(Part("leg", defect))
    elif defect:
        parts[leg] = Part("leg", defect)
    if edit.hidden:
        owner[members] = NO_PART
    faces = mesh.faces
    if edit.extra is not None:
        again, more = _second_leg(model, leg, edit.extra)
        used = np.flatnonzero(again)
        renumbered = np.full(len(again), -1)
        renumbered[used] = len(vertices) + np.arange(len(used))
        copied = faces[again[faces].all(axis=1)]
        faces = np.concatenate([faces, renumbered[copied].astype(np.int32)])
        vertices = np.concatenate([vertices, more])
        colours = np.concatenate([colours, colours[used]])
        second = len(parts) - 1 if defect == "doubled" else leg
        owner = np.concatenate([owner, np.full(len(used), second, np.uint8)])
    return PosedBody("horse", vertices, faces, colours, owner, tuple(parts))


def _other_of_pair(leg: int) -> int:
    return leg ^ 1


def _second_leg(model: _Model, leg: int, pose: Pose) -> tuple[NDArray[np.bool_], Floats]:
    """Returns a leg's vertices: a mask (V,), and their places when they follow the leg's bones alone."""
    again = model.leg_share[leg] > 0.25
    rows = pose.rows(LEG_BONES[leg])
    weights = model.mesh.weights[np.ix_(again, rows)]
    weights = weights / weights.sum(axis=1, keepdims=True)
    return again, skin(model.mesh.vertices[again], weights, pose.bones[rows])


def _placed(body: PosedBody, origin: Floats, size: float, words: dict[str, str]) -> PosedBody:
    """The body moved to the origin and scaled."""
    vertices = ((body.vertices - origin) * size).astype(np.float32)
    return PosedBody(body.kind, vertices, body.faces, body.colours, body.part_id, body.parts, words)


def _saddle(model: _Model, pose: Pose, vertices: Floats, origin: Floats, size: float) -> Floats:
    """The frame of the saddle, which follows the trunk's pitch and roll."""
    turn = pose.bones[pose.index["Torso2"], :3, :3] @ model.upright
    left, _, right = np.linalg.svd(turn)
    frame = np.eye(4, dtype=np.float32)
    frame[:3, :3] = left @ right
    frame[:3, 3] = (vertices[model.saddle] - origin) * size
    return frame
