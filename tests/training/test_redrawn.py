"""Parts redrawn for the bank: just those, whatever comes of it, and the same again from what was noted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.fakes import ColourDetector, picture
from training.redrawn import Redraw, choose, redrawn

BAD_HANDS = [("malformed_hand", (10, 10, 30, 30)), ("malformed_hand", (60, 60, 85, 85))]
IMAGE = picture(*BAD_HANDS, ("malformed_limb", (60, 10, 80, 40)))


def chosen(tiny_model, wanted: str = "hand") -> Redraw | None:
    return choose(ColourDetector(), IMAGE, wanted, 0.3, 1.0, tiny_model.model_id)


def test_the_malformed_parts_of_the_wanted_kind_are_chosen(tiny_model):
    assert {name for name, _ in chosen(tiny_model).places} == {"malformed_hand"}
    assert [name for name, _ in chosen(tiny_model, "limb").places] == ["malformed_limb"]
    assert choose(ColourDetector(), picture(), "hand", 0.3, 1.0, "any") is None


def test_they_are_redrawn_and_nothing_else(tiny_model):
    made = redrawn(tiny_model, ColourDetector(), IMAGE, "a hand", chosen(tiny_model), 3)
    changed = (made != IMAGE).any(axis=2)
    assert changed[10:30, 10:30].mean() > 0.5 and changed[60:85, 60:85].mean() > 0.5
    assert not changed[10:40, 62:78].any()


def test_what_was_noted_gives_the_same_again(tiny_model):
    what = chosen(tiny_model)
    noted = Redraw(**json.loads(json.dumps(asdict(what))))
    made = [redrawn(tiny_model, ColourDetector(), IMAGE, "a hand", w, 3) for w in (what, noted)]
    assert np.array_equal(*made)


def test_another_inpainter_is_refused(tiny_model):
    other = replace(chosen(tiny_model), inpainter="another@1")
    with pytest.raises(ValueError, match="another@1"):
        redrawn(tiny_model, ColourDetector(), IMAGE, "a hand", other, 3)
