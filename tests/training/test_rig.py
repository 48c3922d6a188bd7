from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.anatomy import rig as edit
from training.anatomy.bodies import rotation
from training.anatomy.rig import Rig, aim

UNIT = st.floats(-1, 1).filter(lambda v: abs(v) > 0.05)


def two_bones() -> Rig:
    """A bar along y: the lower half belongs to ``root``, the upper half to ``tip-1`` and ``tip-2``."""
    y = np.linspace(0, 4, 9)
    rest = np.stack([np.zeros(9), y, np.zeros(9)], axis=1).astype(np.float32)
    weights = np.stack([y < 2, (y >= 2) & (y < 3), y >= 3], axis=1).astype(np.float32)
    faces = np.array([[i, i + 1, i + 2] for i in range(7)], np.int32)
    heads = np.array([[0, 0, 0], [0, 2, 0], [0, 3, 0]], np.float32)
    return Rig(
        rest, faces, weights, heads, (-1, 0, 1), ("root", "tip-1", "tip-2"), np.arange(9), np.zeros(9, bool)
    )


CHAIN = ("tip-1", "tip-2")


def test_posed_without_turns_is_the_rest() -> None:
    np.testing.assert_allclose(two_bones().posed({}), two_bones().rest, atol=1e-6)


def test_a_turn_moves_the_bone_and_its_children_about_its_head() -> None:
    turned = two_bones().posed({"tip-1": rotation([0, 0, 1], np.pi / 2)})
    np.testing.assert_allclose(turned[-1], [-2, 2, 0], atol=1e-5)
    np.testing.assert_allclose(turned[0], [0, 0, 0], atol=1e-6)


def test_remove_collapses_the_chain_and_leaves_the_rest() -> None:
    removed = edit.remove(two_bones(), CHAIN)
    assert removed.rest[:, 1].max() < 2.1
    np.testing.assert_array_equal(removed.rest[:4], two_bones().rest[:4])


def test_stretch_lengthens_along_the_axis_and_takes_the_joints_along() -> None:
    longer = edit.stretch(two_bones(), CHAIN, 2.0)
    assert longer.rest[-1, 1] == pytest.approx(6.0)
    assert longer.head("tip-2")[1] == pytest.approx(4.0)


def test_duplicate_adds_the_chain_with_bones_of_its_own() -> None:
    move = np.eye(4, dtype=np.float32)
    move[0, 3] = 1.0
    doubled = edit.duplicate(two_bones(), CHAIN, move, "+", "root")
    assert doubled.names[-2:] == ("tip-1+", "tip-2+")
    assert doubled.copied.sum() == 5
    still = doubled.posed({"tip-1": rotation([0, 0, 1], np.pi / 2)})
    np.testing.assert_allclose(still[doubled.copied][:, 0], 1.0, atol=1e-6)
    np.testing.assert_allclose(doubled.weights.sum(axis=1), 1.0, atol=1e-6)


def test_shift_moves_only_the_chain() -> None:
    moved = edit.shift(two_bones(), CHAIN, np.array([0.5, 0, 0], np.float32))
    np.testing.assert_allclose(moved.rest[4:, 0], 0.5)
    np.testing.assert_allclose(moved.rest[:4, 0], 0.0)


@given(st.tuples(UNIT, UNIT, UNIT), st.tuples(UNIT, UNIT, UNIT))
def test_aim_turns_one_direction_into_the_other(
    start: tuple[float, float, float], end: tuple[float, float, float]
) -> None:
    turn = aim(np.array(start, np.float32), end)
    reached = turn @ (np.array(start) / np.linalg.norm(start))
    if np.linalg.norm(np.cross(start, end)) > 1e-3:
        np.testing.assert_allclose(reached, np.array(end) / np.linalg.norm(end), atol=1e-4)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
