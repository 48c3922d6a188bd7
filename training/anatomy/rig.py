"""A rigged mesh and the edits that make its limbs or fingers wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats, about, rotation, skin


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """A mesh at rest with its bones; parents come before children.

    Attributes:
        rest: float32 (V, 3), metres, y up, facing +z.
        faces: int32 (F, 3).
        weights: float32 (V, B), rows sum to 1.
        heads: float32 (B, 3), where each bone begins.
        parents: for each bone the index of its parent, -1 for the root.
        names: bone names.
        source: int64 (V,), the vertex of the unedited mesh that each vertex is or was copied from.
        copied: bool (V,), true for vertices of an added part.
    """

    rest: Floats
    faces: NDArray[np.int32]
    weights: Floats
    heads: Floats
    parents: tuple[int, ...]
    names: tuple[str, ...]
    source: NDArray[np.int64]
    copied: NDArray[np.bool_]

    def chain_weight(self, chain: Sequence[str]) -> Floats:
        """(V,) how much each vertex belongs to the bones named in ``chain``."""
        columns = [self.names.index(name) for name in chain]
        return np.asarray(self.weights[:, columns].sum(axis=1), np.float32)

    def head(self, name: str) -> Floats:
        """(3,) where the bone begins at rest."""
        return np.asarray(self.heads[self.names.index(name)], np.float32)

    def posed(self, turns: Mapping[str, Floats], root: Floats | None = None) -> Floats:
        """(V, 3) vertices after turning bones about their heads by 3×3 rotations in the rest frame.

        ``root`` is a 4×4 transform put on everything.
        """
        bones = np.empty((len(self.names), 4, 4), np.float32)
        base = np.eye(4, dtype=np.float32) if root is None else root
        for index, (name, parent) in enumerate(zip(self.names, self.parents, strict=True)):
            above = base if parent < 0 else bones[parent]
            turn = turns.get(name)
            bones[index] = above if turn is None else above @ about(self.heads[index], turn)
        return skin(self.rest, self.weights, bones)


def subset(rig: Rig, keep: NDArray[np.bool_], bones: Sequence[str]) -> Rig:
    """The part of a rig made of the kept vertices and the named bones; other weight is dropped."""
    columns = [rig.names.index(name) for name in bones]
    renumber = np.full(len(keep), -1, np.int64)
    renumber[keep] = np.arange(int(keep.sum()))
    faces = renumber[rig.faces]
    weights = rig.weights[keep][:, columns]
    parents = tuple(columns.index(rig.parents[c]) if rig.parents[c] in columns else -1 for c in columns)
    return Rig(
        rest=rig.rest[keep],
        faces=faces[(faces >= 0).all(axis=1)].astype(np.int32),
        weights=(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32),
        heads=rig.heads[columns],
        parents=parents,
        names=tuple(bones),
        source=np.arange(int(keep.sum())),
        copied=rig.copied[keep],
    )


def aim(rest_direction: Floats, direction: Sequence[float] | Floats) -> Floats:
    """The smallest rotation (3×3) that turns ``rest_direction`` into ``direction``."""
    start = np.asarray(rest_direction, np.float64) / np.linalg.norm(rest_direction)
    end = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    axis = np.cross(start, end)
    if np.linalg.norm(axis) < 1e-6:
        return np.eye(3, dtype=np.float32)
    return rotation(axis.astype(np.float32), float(np.arccos(np.clip(start @ end, -1, 1))))


def remove(rig: Rig, chain: Sequence[str], inwards: Floats | None = None) -> Rig:
    """The chain shrunk into its root; ``inwards`` moves the stump's middle (metres)."""
    weight = _sharp(rig.chain_weight(chain))[:, None]
    middle = rig.head(chain[0]) + (0 if inwards is None else inwards)
    return replace(rig, rest=(rig.rest + weight * 0.97 * (middle - rig.rest)).astype(np.float32))


def stretch(rig: Rig, chain: Sequence[str], factor: float) -> Rig:
    """The chain made ``factor`` times as long along its own axis; its joints go along."""
    start, end = rig.head(chain[0]), rig.head(chain[-1])
    axis = (end - start) / np.linalg.norm(end - start)
    along = np.maximum((rig.rest - start) @ axis, 0) * rig.chain_weight(chain)
    heads = rig.heads.copy()
    columns = [rig.names.index(name) for name in chain]
    heads[columns] += np.outer((heads[columns] - start) @ axis * (factor - 1), axis)
    return replace(
        rig, rest=(rig.rest + np.outer(along * (factor - 1), axis)).astype(np.float32), heads=heads
    )


def duplicate(rig: Rig, chain: Sequence[str], move: Floats, suffix: str, parent: str) -> Rig:
    """The chain's faces drawn a second time under bones of their own, moved by the 4×4 ``move`` at rest.

    The new bones are the chain's names with ``suffix``; the first hangs on ``parent``.
    """
    taken = rig.chain_weight(chain) > 0.35
    copied = np.flatnonzero(taken)
    renumber = np.full(len(taken), -1, np.int64)
    renumber[copied] = len(taken) + np.arange(len(copied))
    faces = renumber[rig.faces[taken[rig.faces].all(axis=1)]].astype(np.int32)
    columns = [rig.names.index(name) for name in chain]
    first = len(rig.names)
    weights = np.zeros((len(taken) + len(copied), first + len(chain)), np.float32)
    weights[: len(taken), :first] = rig.weights
    own = rig.weights[copied][:, columns]
    weights[len(taken) :, first:] = own / own.sum(axis=1, keepdims=True)
    return Rig(
        rest=np.concatenate([rig.rest, _moved(rig.rest[copied], move)]),
        faces=np.concatenate([rig.faces, faces]),
        weights=weights,
        heads=np.concatenate([rig.heads, _moved(rig.heads[columns], move)]),
        parents=(*rig.parents, rig.names.index(parent), *range(first, first + len(chain) - 1)),
        names=(*rig.names, *(name + suffix for name in chain)),
        source=np.concatenate([rig.source, rig.source[copied]]),
        copied=np.concatenate([rig.copied, np.ones(len(copied), bool)]),
    )


def shift(rig: Rig, chain: Sequence[str], by: Floats, thicker: float = 1.0) -> Rig:
    """The chain moved by ``by`` (metres) and made ``thicker`` about its own axis, bones included."""
    start, end = rig.head(chain[0]), rig.head(chain[-1])
    axis = (end - start) / np.linalg.norm(end - start)
    offset = rig.rest - start
    around = offset - np.outer(offset @ axis, axis)
    weight = rig.chain_weight(chain)[:, None]
    heads = rig.heads.copy()
    heads[[rig.names.index(name) for name in chain]] += by
    return replace(
        rig, rest=(rig.rest + weight * (by + (thicker - 1) * around)).astype(np.float32), heads=heads
    )


def _sharp(weight: Floats) -> Floats:
    """A steeper transition, so that a stump is short."""
    return np.asarray(np.clip(weight * 2.5 - 0.25, 0, 1), np.float32)


def _moved(points: Floats, move: Floats) -> Floats:
    return np.asarray(points @ move[:3, :3].T + move[:3, 3], np.float32)
