from __future__ import annotations

import numpy as np
import pytest

from training.anatomy.captions import caption

FACTS = {
    "pose": "waving",
    "who": "woman",
    "shirt": "red",
    "trousers": "blue",
    "coat": "brown",
    "gait": "walking",
    "view": "side",
    "skin": "dark",
    "sleeve": "green",
    "side": "back",
    "background": "yellow",
}


def many(kind: str, **facts: str) -> list[str]:
    rng = np.random.default_rng(0)
    return [caption(kind, FACTS | facts, rng) for _ in range(300)]


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        ("hand", {"pose": "open"}, ("hand", "green", "yellow", "back")),
        ("person", {}, ("woman", "waving", "red", "blue")),
        ("horse", {}, ("horse", "brown", "walking")),
        ("rider", {}, ("woman", "riding", "horse", "rider", "brown")),
    ],
)
def test_every_fact_is_told_in_some_wording(kind: str, facts: dict[str, str], words: tuple[str, ...]) -> None:
    made = many(kind, **facts)
    assert len(set(made)) > 30
    for word in words:
        assert any(word in text for text in made)


def test_a_hand_seen_from_the_back_is_never_called_a_palm() -> None:
    assert not any("palm" in text for text in many("hand", pose="open", side="back"))
