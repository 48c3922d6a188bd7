from __future__ import annotations

import numpy as np
import pytest

from bench.generator import KINDS, colour_at, sheet
from bench.prompts import prompts


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompts_are_fixed_and_name_their_colour(kind: str) -> None:
    made = prompts(kind)
    assert len(made) == 50
    assert made == prompts(kind)
    assert all(prompt.colour in prompt.text for prompt in made)


def test_a_colour_is_read_where_it_is_asked_for() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, :] = (255, 255, 255)
    image[30:60, 30:70] = (255, 0, 0)
    background = colour_at(image, "background", None)
    shirt = colour_at(image, "shirt", (20, 20, 80, 80))
    assert background[0] == pytest.approx(100, abs=0.5)
    assert shirt[1] > 60


def test_a_sheet_has_eight_to_a_row() -> None:
    assert sheet([np.zeros((4, 6, 3), np.uint8)] * 16).shape == (8, 48, 3)
