"""Reads a rigged, animated ``.glb`` into arrays: one welded mesh, its bones and the clips that move them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats

_TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_JSON_CHUNK = 0x4E4F534A


@dataclass(frozen=True, slots=True, eq=False)
class RiggedMesh:
    """A mesh and its skeleton.

    Attributes:
        vertices: (V, 3), the bind pose; welded, so that faces share vertices.
        faces: int32 (F, 3), counter-clockwise seen from outside.
        material: int32 (V,), index into ``materials``.
        materials: the names of the materials.
        weights: (V, B), rows sum to 1.
        bones: the names of the B bones.
        clips: by name, bind-to-world transforms (T, B, 4, 4), evenly spaced over the clip.
        joints: by name, world positions of the bones' origins (T, B, 3), as in ``clips``.
    """

    vertices: Floats
    faces: NDArray[np.int32]
    material: NDArray[np.int32]
    materials: tuple[str, ...]
    weights: Floats
    bones: tuple[str, ...]
    clips: dict[str, Floats]
    joints: dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Glb:
    """The two chunks of the file: the document and its binary buffer."""

    doc: dict[str, Any]
    blob: bytes

    def array(self, accessor: int) -> NDArray[Any]:
        """The values of an accessor, (count, width) or (count,) for scalars."""
        entry = self.doc["accessors"][accessor]
        view = self.doc["bufferViews"][entry["bufferView"]]
        width, dtype = _WIDTHS[entry["type"]], np.dtype(_TYPES[entry["componentType"]])
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        stride = view.get("byteStride", width * dtype.itemsize)
        if stride != width * dtype.itemsize:
            raise ValueError("interleaved glTF buffers are not supported")
        flat = np.frombuffer(self.blob, dtype, entry["count"] * width, start)
        return flat if width == 1 else flat.reshape(-1, width)


def load_rigged(path: Path, clips: Mapping[str, int], weld: Mapping[str, str]) -> RiggedMesh:
    """Load the first mesh and skin of ``path``.

    Args:
        clips: the animations to keep, by the name after the ``|``, and the number of even samples of each.
        weld: material name → group; vertices at one place are merged within their group.
    """
    glb = _open(path)
    skin = glb.doc["skins"][0]
    vertices, faces, material, joints, weights = _primitives(glb, weld)
    names = [node.get("name", "") for node in glb.doc["nodes"]]
    dense = np.zeros((len(vertices), len(skin["joints"])), np.float32)
    np.add.at(dense, (np.arange(len(vertices))[:, None], joints), weights)
    inverse_bind = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    moves, origins = {}, {}
    for animation in glb.doc["animations"]:
        name = animation["name"].split("|")[-1]
        if name in clips:
            world = _globals(glb, animation, clips[name])[:, skin["joints"]]
            moves[name] = (world @ inverse_bind).astype(np.float32)
            origins[name] = world[:, :, :3, 3].astype(np.float32)
    return RiggedMesh(
        vertices, faces, material, tuple(m["name"] for m in glb.doc["materials"]),
        dense / dense.sum(axis=1, keepdims=True), tuple(names[j] for j in skin["joints"]), moves, origins,
    )  # fmt: skip


def _open(path: Path) -> _Glb:
    """Split a ``.glb`` into its JSON and binary chunks."""
    raw = path.read_bytes()
    magic, _, _ = struct.unpack_from("<4sII", raw)
    length, kind = struct.unpack_from("<II", raw, 12)
    if magic != b"glTF" or kind != _JSON_CHUNK:
        raise ValueError(f"{path.name} is not a binary glTF file")
    return _Glb(json.loads(raw[20 : 20 + length]), raw[20 + length + 8 :])


def _primitives(
    glb: _Glb, weld: Mapping[str, str]
) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], Floats]:
    """All primitives of the first mesh as one: vertices, faces, material, joints (V, 4), weights (V, 4)."""
    names = [m["name"] for m in glb.doc["materials"]]
    groups = sorted(set(weld.values()))
    columns: list[list[NDArray[Any]]] = [[], [], [], [], [], []]
    count = 0
    for primitive in glb.doc["meshes"][0]["primitives"]:
        attributes = primitive["attributes"]
        points = glb.array(attributes["POSITION"])
        material = primitive["material"]
        group = groups.index(weld[names[material]])
        values = (
            points, glb.array(primitive["indices"]).astype(np.int64) + count,
            np.full(len(points), material), glb.array(attributes["JOINTS_0"]),
            glb.array(attributes["WEIGHTS_0"]), np.full(len(points), group),
        )  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        count += len(points)
    points, indices, material_of, joints, weights, group_of = (np.concatenate(c) for c in columns)
    scale = np.ptp(points, axis=0).max()
    keys = np.column_stack([np.round(points / scale * 1e4), group_of]).astype(np.int64)
    _, first, merged = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = merged.reshape(-1)[indices].reshape(-1, 3)
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return (
        points[first].astype(np.float32), faces[whole].astype(np.int32), material_of[first].astype(np.int32),
        joints[first].astype(np.int32), weights[first].astype(np.float32),
    )  # fmt: skip


def _globals(glb: _Glb, animation: dict[str, Any], count: int) -> Floats:
    """World transforms (T, N, 4, 4) of every node at ``count`` even times in [0, duration)."""
    nodes = glb.doc["nodes"]
    samplers = animation["samplers"]
    duration = max(float(glb.array(s["input"])[-1]) for s in samplers)
    times = np.arange(count) * duration / count
    tracks: dict[tuple[int, str], NDArray[np.float64]] = {}
    for channel in animation["channels"]:
        sampler = samplers[channel["sampler"]]
        values = _resample(glb.array(sampler["input"]), glb.array(sampler["output"]), times)
        tracks[channel["target"]["node"], channel["target"]["path"]] = values
    local = np.stack([_local(node, i, tracks, count) for i, node in enumerate(nodes)], axis=1)
    world = local.copy()
    pending = list(glb.doc["scenes"][glb.doc.get("scene", 0)]["nodes"])
    while pending:
        parent = pending.pop()
        for child in nodes[parent].get("children", ()):
            world[:, child] = world[:, parent] @ local[:, child]
            pending.append(child)
    return world.astype(np.float32)


def _resample(keys: Floats, values: Floats, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation of a track; quaternions are kept in one hemisphere (and normalised later)."""
    after = np.clip(np.searchsorted(keys, times, side="right"), 1, len(keys) - 1)
    share = np.clip((times - keys[after - 1]) / (keys[after] - keys[after - 1]), 0, 1)[:, None]
    start, end = values[after - 1].astype(np.float64), values[after].astype(np.float64)
    if values.shape[1] == 4:
        end = np.where((start * end).sum(axis=1, keepdims=True) < 0, -end, end)
    mixed: NDArray[np.float64] = start + share * (end - start)
    return mixed


def _local(
    node: dict[str, Any], index: int, tracks: dict[tuple[int, str], NDArray[np.float64]], count: int
) -> NDArray[np.float64]:
    """The node's local transforms (T, 4, 4)."""

    def track(path: str, rest: list[float]) -> NDArray[np.float64]:
        fixed = np.broadcast_to(np.asarray(node.get(path, rest), np.float64), (count, len(rest)))
        return tracks.get((index, path), fixed)

    turns = track("rotation", [0, 0, 0, 1])
    x, y, z, w = turns.T / np.linalg.norm(turns, axis=1)
    local = np.zeros((count, 4, 4))
    local[:, :3, 0] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], axis=1)
    local[:, :3, 1] = np.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], axis=1)
    local[:, :3, 2] = np.stack([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)], axis=1)
    local[:, :3, :3] *= track("scale", [1, 1, 1])[:, None, :]
    local[:, :3, 3] = track("translation", [0, 0, 0])
    local[:, 3, 3] = 1
    return local
