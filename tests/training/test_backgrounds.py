from __future__ import annotations

import numpy as np
import pytest

from training.anatomy import backgrounds


def test_all_backgrounds_are_pictures_and_follow_their_seed() -> None:
    def made(seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [
            backgrounds.plain(64, np.array([0.3, 0.5, 0.7], np.float32), rng),
            backgrounds.outdoors(64, 0.6, rng),
            *(backgrounds.patterned(64, rng, held_out) for held_out in (False, True) for _ in range(8)),
        ]

    for first, again in zip(made(3), made(3), strict=True):
        assert first.shape == (64, 64, 3)
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", list(backgrounds.PLAIN_COLOURS))
def test_a_jittered_colour_stays_near_its_name(name: str) -> None:
    rng = np.random.default_rng(0)
    colour = np.array(backgrounds.PLAIN_COLOURS[name])
    assert np.abs(backgrounds.jittered(backgrounds.PLAIN_COLOURS[name], rng) - colour).max() <= 0.05 + 1e-6


def test_a_shadow_darkens_where_it_lies_and_nowhere_else() -> None:
    white = np.full((64, 64, 3), 200, np.uint8)
    shaded = backgrounds.with_shadow(white, np.array([32.0, 50.0]), (8, 4), 0.5)
    assert shaded[50, 32, 0] == 100
    assert shaded[5, 5, 0] == 200
