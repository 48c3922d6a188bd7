"""Words for a scene, in several wordings, so that a prompt need not be exact."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_POSE_WORDS: Mapping[str, tuple[str, ...]] = {
    "open": ("an open hand", "a hand with fingers spread", "a hand showing five fingers", "an open palm"),
    "relaxed": ("a relaxed hand", "a hand", "a resting hand"),
    "pointing": ("a pointing hand", "a hand pointing up", "a hand with one finger up"),
    "fist": ("a fist", "a closed hand", "a clenched fist"),
    "two": ("a hand with two fingers up", "a hand showing two fingers", "a peace sign"),
    "three": ("a hand with three fingers up", "a hand showing three fingers"),
}
_BACK = ("seen from the back", "back of the hand", "from behind")
_PALM = ("seen from the palm", "palm", "palm side")
_GAITS: Mapping[str, tuple[str, ...]] = {
    "standing": ("standing", "standing still"),
    "walking": ("walking",),
    "galloping": ("galloping", "running"),
}


def _one(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def caption(kind: str, words: Mapping[str, str], rng: np.random.Generator) -> str:
    """Writes a caption for a ``kind`` of scene; it names most of the facts, chosen at random."""
    made = {"hand": _hand, "person": _person, "horse": _horse, "rider": _rider}[kind](words, rng)
    if "background" in words and rng.random() < 0.6:
        made += _one(rng, (" on a {} background", ", {} background", " in front of a {} wall")).format(
            words["background"]
        )
    return _one(rng, ("{}", "{}", "{}", "a picture of {}", "a photo of {}")).format(made)


def _hand(words: Mapping[str, str], rng: np.random.Generator) -> str:
    made = _one(rng, _POSE_WORDS[words["pose"]]) if rng.random() < 0.75 else "a hand"
    if words["side"] == "back":
        made = made.replace("palm", "hand")
    if rng.random() < 0.4:
        made = made.replace("hand", f"{words['skin']} hand").replace("fist", f"{words['skin']} fist")
    if "sleeve" in words and rng.random() < 0.6:
        made += _one(rng, (" with a {} sleeve", " in a {} sleeve", ", {} sleeve")).format(words["sleeve"])
    if rng.random() < 0.6:
        made += ", " + _one(rng, _BACK if words["side"] == "back" else _PALM)
    return made


def _who(words: Mapping[str, str], rng: np.random.Generator) -> str:
    return words["who"] if rng.random() < 0.75 else "person"


def _clothes(words: Mapping[str, str], rng: np.random.Generator) -> str:
    shirt = _one(rng, ("a {} shirt", "a {} top")).format(words["shirt"])
    trousers = _one(rng, ("{} trousers", "{} pants")).format(words["trousers"])
    if rng.random() < 0.55:
        return f" in {shirt} and {trousers}"
    return f" in {shirt}" if rng.random() < 0.6 else f" wearing {trousers}"


def _person(words: Mapping[str, str], rng: np.random.Generator) -> str:
    made = f"a {_who(words, rng)}"
    if rng.random() < 0.75:
        made += (
            _one(rng, (" with arms up", " raising both arms"))
            if words["pose"] == "arms up"
            else f" {words['pose']}"
        )
    return made + (_clothes(words, rng) if rng.random() < 0.85 else "")


def _coat(words: Mapping[str, str], rng: np.random.Generator) -> str:
    return f"a {words['coat']} horse" if rng.random() < 0.8 else "a horse"


def _horse(words: Mapping[str, str], rng: np.random.Generator) -> str:
    made = _coat(words, rng)
    if rng.random() < 0.7:
        made += " " + _one(rng, _GAITS[words["gait"]])
    if rng.random() < 0.3:
        made += ", side view" if words["view"] == "side" else ", at an angle"
    return made


def _rider(words: Mapping[str, str], rng: np.random.Generator) -> str:
    who = _who(words, rng)
    if rng.random() < 0.35:
        return f"a rider on {_coat(words, rng)}"
    clothes = f" in a {words['shirt']} shirt" if rng.random() < 0.5 else ""
    return f"a {who}{clothes} " + _one(rng, ("riding {}", "on {}", "riding on {}")).format(_coat(words, rng))
