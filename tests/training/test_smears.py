"""Smeared parts: labelled as malformed, and nothing else touched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.smears import DEFECT, SmearOdds, smear, with_smears

HAND = {"class_name": "hand", "xyxy": [60.0, 60.0, 140.0, 180.0], "kind": "hand", "defect": None}
ALWAYS, NEVER, ELSEWHERE = SmearOdds(1.0, 0.0), SmearOdds(0.0, 0.0), SmearOdds(0.0, 1.0)


def picture(seed: int) -> np.ndarray:
    """Stripes and grain: whatever is smeared in it shows."""
    rng = np.random.default_rng(seed)
    stripes = (np.indices((256, 256)).sum(axis=0) // 8 % 2 * 150)[..., None]
    return (stripes + rng.integers(0, 60, (256, 256, 3))).astype(np.uint8)


@given(seed=st.integers(0, 10_000))
def test_a_smear_changes_its_place_and_leaves_what_is_far(seed: int):
    before = picture(1)
    after = smear(before, (60, 60, 140, 180), np.random.default_rng(seed))
    changed = (after != before).any(axis=2)
    assert changed[60:180, 60:140].mean() > 0.2
    far = np.ones((256, 256), bool)
    far[20:220, 20:180] = False
    assert not changed[far].any()


def test_a_smeared_part_is_called_malformed():
    lines = [{"kind": "hand", "parts": [copy.deepcopy(HAND)]}]
    pictures = picture(0)[None]
    before = pictures.copy(), copy.deepcopy(lines)
    made, truth = with_smears(pictures, lines, np.random.default_rng(0), ALWAYS)
    assert (truth[0]["parts"][0]["class_name"], truth[0]["parts"][0]["defect"]) == ("malformed_hand", DEFECT)
    assert truth[0]["parts"][0]["xyxy"] == HAND["xyxy"]
    assert (made != pictures).any()
    assert np.array_equal(pictures, before[0]) and lines == before[1], "what was given is not changed"


@pytest.mark.parametrize("seed", range(20))
def test_a_smear_beside_the_parts_is_no_defect(seed: int):
    lines = [{"kind": "hand", "parts": [HAND]}]
    made, truth = with_smears(picture(0)[None], lines, np.random.default_rng(seed), ELSEWHERE)
    assert truth == lines
    assert (made[0][100:140, 80:120] == picture(0)[100:140, 80:120]).all()


@pytest.mark.parametrize(
    "part",
    [
        HAND | {"class_name": "malformed_hand", "defect": "extra"},
        HAND | {"class_name": "horse"},
        HAND | {"xyxy": [10.0, 10.0, 18.0, 60.0]},
    ],
    ids=["malformed already", "no part", "too small"],
)
def test_what_is_left_alone(part: dict):
    lines = [{"kind": "hand", "parts": [part]}]
    made, truth = with_smears(picture(0)[None], lines, np.random.default_rng(0), ALWAYS)
    assert truth == lines and (made[0] == picture(0)).all()


def test_nothing_happens_without_odds():
    lines = [{"kind": "hand", "parts": [HAND]}]
    made, truth = with_smears(picture(0)[None], lines, np.random.default_rng(0), NEVER)
    assert truth == lines and (made[0] == picture(0)).all()
