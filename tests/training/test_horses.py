from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("training.anatomy.horses")

from training.anatomy.bodies import NO_PART, PosedBody
from training.anatomy.horses import DEFECTS, GAITS, HorseSource, _draw

_ASSETS = Path(__file__).parents[3] / "shared" / "assets" / "horse"
pytestmark = pytest.mark.skipif(not _ASSETS.is_dir(), reason="the rigged horses are not on this machine")


@pytest.fixture(scope="module")
def source() -> HorseSource:
    return HorseSource(_ASSETS)


def _drawn(source: HorseSource, seed: int, defect: str | None = None, gait: str | None = None) -> PosedBody:
    return source.sample(np.random.default_rng(seed), defect=defect, held_out=False, gait=gait)


def _length(body: PosedBody, part: int) -> float:
    return float(np.ptp(body.vertices[body.part_id == part][:, 1]))


@pytest.mark.parametrize("gait", GAITS)
def test_a_horse_stands_on_the_ground_faces_forward_and_has_four_legs(source: HorseSource, gait: str) -> None:
    for seed in range(20):
        body, saddle = source.sample_with_saddle(
            np.random.default_rng(seed), defect=None, held_out=bool(seed % 2), gait=gait
        )
        assert np.isfinite(body.vertices).all() and body.faces.max() < len(body.vertices)
        assert -1e-3 < body.vertices[:, 1].min() < (0.5 if gait == "galloping" else 1e-3)
        assert body.words["gait"] == gait and body.words["coat"]
        assert body.colours.min() >= 0 and body.colours.max() <= 1
        assert [p.defect for p in body.parts] == [None] * 4
        assert all((body.part_id == part).sum() > 50 for part in range(4))
        assert set(np.unique(body.part_id)) == {0, 1, 2, 3, NO_PART}
        assert 1.0 < saddle[1, 3] < 2.1 and abs(saddle[2, 3]) < 0.4
        np.testing.assert_allclose(saddle[:3, :3].T @ saddle[:3, :3], np.eye(3), atol=1e-4)
        assert saddle[2, 2] > 0.8 and saddle[1, 1] > 0.8 and np.linalg.det(saddle[:3, :3]) > 0


def test_faces_look_outwards(source: HorseSource) -> None:
    body = _drawn(source, 0)
    a, b, c = (body.vertices[body.faces[:, i]].astype(np.float64) for i in range(3))
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0


@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_a_seed_gives_the_same_horse(source: HorseSource, defect: str | None) -> None:
    one, two = _drawn(source, 5, defect), _drawn(source, 5, defect)
    np.testing.assert_array_equal(one.vertices, two.vertices)
    np.testing.assert_array_equal(one.colours, two.colours)
    assert one.words == two.words


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_touches_one_leg_of_the_same_individual(source: HorseSource, defect: str) -> None:
    for seed in range(20):
        whole, body = _drawn(source, seed), _drawn(source, seed, defect)
        assert [p.defect for p in body.parts if p.defect] == [defect]
        assert body.words == whole.words
        # The whole horse may be lifted or lowered, since its hooves stay on the ground.
        moved = body.vertices[: len(whole.vertices)] - whole.vertices
        other = (whole.part_id != NO_PART) & (np.abs(moved[:, [0, 2]]).max(axis=1) < 1e-4)
        legs = {int(leg) for leg in np.unique(whole.part_id[other])}
        assert len(legs) >= 3


def test_what_a_missing_leg_leaves(source: HorseSource) -> None:
    for seed in range(20):
        body = _drawn(source, seed, "missing", "standing")
        lone = next(i for i, part in enumerate(body.parts) if part.defect)
        assert body.parts[lone].beside > 0
        assert (body.part_id == lone).any() and not (body.part_id == (lone ^ 1)).any()
        low = body.vertices[body.vertices[:, 1] < 0.3]
        left, front = low[:, 0] > 0, low[:, 2] > 0
        seen = {(bool(x), bool(z)) for x, z in zip(left, front, strict=True)}
        assert len(seen) == 3


def test_a_doubled_leg_is_a_fifth_part_with_faces_of_its_own(source: HorseSource) -> None:
    for seed in range(20):
        body = _drawn(source, seed, "doubled")
        assert len(body.parts) == 5 and body.parts[4].defect == "doubled"
        fifth = body.part_id == 4
        assert fifth.sum() > 50
        assert (fifth[body.faces].any(axis=1) == fifth[body.faces].all(axis=1)).all()


def test_long_and_short_legs_have_other_lengths(source: HorseSource) -> None:
    for seed in range(20):
        body = _drawn(source, seed, "short", "standing")
        leg = next(i for i, part in enumerate(body.parts) if part.defect)
        assert _length(body, leg) < 0.75 * _length(body, leg ^ 1)


def test_held_out_shapes_never_occur_in_training() -> None:
    rng = np.random.default_rng(0)
    bands = [{int(_draw(rng, 0.0, 1.0, held_out) * 10) % 2 for _ in range(500)} for held_out in (False, True)]
    assert bands == [{0}, {1}]
