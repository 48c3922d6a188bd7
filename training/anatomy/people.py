"""Bodies from ``anny`` (a parametric human body, Apache-2.0 code, CC0 data), made once and kept in a file.

Making the model takes over a minute, one body 10 ms; so a fixed set of people is made for training and
another, of other shapes, for selection and test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats
from training.anatomy.rig import Rig

TRAIN_PEOPLE, HELD_OUT_PEOPLE = 240, 48
_FINGER = r"finger|metacarpal"


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """All bodies share one topology: rest (N, V, 3), heads (N, B, 3)."""

    rest: Floats
    heads: Floats
    weights: Floats
    faces: NDArray[np.int32]
    parents: tuple[int, ...]
    names: tuple[str, ...]
    phenotypes: Floats

    def rig(self, index: int) -> Rig:
        """The rig of one person."""
        count = self.rest.shape[1]
        return Rig(
            self.rest[index],
            self.faces,
            self.weights,
            self.heads[index],
            self.parents,
            self.names,
            np.arange(count),
            np.zeros(count, bool),
        )

    def choose(self, rng: np.random.Generator, held_out: bool) -> int:
        """A person for training, or one that training never saw."""
        low, high = (TRAIN_PEOPLE, len(self.rest)) if held_out else (0, TRAIN_PEOPLE)
        return int(rng.integers(low, high))


def load_people(path: Path) -> People:
    """Reads the file, or makes it first."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
    with np.load(path) as kept:
        return People(
            kept["rest"],
            kept["heads"],
            kept["weights"],
            kept["faces"],
            tuple(kept["parents"].tolist()),
            tuple(kept["names"].tolist()),
            kept["phenotypes"],
        )


def _phenotypes(rng: np.random.Generator, count: int) -> Floats:
    """Columns gender, age, muscle, weight, height, proportions; grown-ups only."""
    low = np.array([0.0, 0.55, 0.3, 0.25, 0.35, 0.3])
    high = np.array([1.0, 0.8, 0.75, 0.7, 0.7, 0.8])
    return np.asarray(low + (high - low) * rng.random((count, 6)), np.float32)


def _make(path: Path) -> None:
    import anny
    import torch

    model = anny.create_fullbody_model(triangulate_faces=True)
    keys = ["gender", "age", "muscle", "weight", "height", "proportions"]
    rows = np.concatenate(
        [
            _phenotypes(np.random.default_rng(seed), count)
            for seed, count in ((1, TRAIN_PEOPLE), (2, HELD_OUT_PEOPLE))
        ]
    )
    rest, heads = [], []
    for row in rows:
        with torch.no_grad():
            made = model(
                phenotype_kwargs={key: torch.tensor([float(v)]) for key, v in zip(keys, row, strict=True)}
            )
        rest.append(_upright(made["rest_vertices"][0].numpy()))
        heads.append(_upright(made["rest_bone_heads"][0].numpy()))
    names, parents, weights = _few_bones(
        list(model.bone_labels), [int(p) for p in model.bone_parents], _dense(model)
    )
    keep = [list(model.bone_labels).index(name) for name in names]
    np.savez(
        path,
        rest=np.stack(rest),
        heads=np.stack(heads)[:, keep],
        weights=weights,
        faces=model.faces.numpy().astype(np.int32),
        parents=np.array(parents),
        names=np.array(names),
        phenotypes=rows,
    )


def _upright(points: NDArray[np.float64]) -> Floats:
    """From z up, facing -y, to y up, facing +z."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1).astype(np.float32)


def _dense(model: object) -> Floats:
    indices = np.asarray(model.vertex_bone_indices)  # type: ignore[attr-defined]
    values = np.asarray(model.vertex_bone_weights)  # type: ignore[attr-defined]
    dense = np.zeros((len(indices), len(model.bone_labels)), np.float32)  # type: ignore[attr-defined]
    np.add.at(dense, (np.arange(len(indices))[:, None], indices), values)
    return np.asarray(dense / dense.sum(axis=1, keepdims=True), np.float32)


def _few_bones(names: list[str], parents: list[int], weights: Floats) -> tuple[list[str], list[int], Floats]:
    """Face and toe bones folded into head and foot: nothing here moves them."""

    def folded(name: str) -> bool:
        return name.startswith("toe") or (name in names[names.index("head") + 1 :])

    target = list(range(len(names)))
    for index, name in enumerate(names):
        if folded(name):
            target[index] = target[parents[index]]
    kept = [i for i in range(len(names)) if target[i] == i]
    merged = np.zeros((len(weights), len(kept)), np.float32)
    for index in range(len(names)):
        merged[:, kept.index(target[index])] += weights[:, index]
    return [names[i] for i in kept], [kept.index(parents[i]) if parents[i] >= 0 else -1 for i in kept], merged
