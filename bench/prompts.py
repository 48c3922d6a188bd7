"""The fixed prompts of the bench: fifty of each kind, with the colour word that is to be obeyed."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUNDS = ("white", "grey", "black", "blue", "green", "red", "yellow", "pink")
SHIRTS = ("red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink", "grey")
COATS = ("brown", "black", "white", "grey", "chestnut")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt; ``colour`` is the colour that it names for ``where``: background, shirt or coat."""

    kind: str
    text: str
    where: str
    colour: str


def prompts(kind: str, count: int = 50) -> list[Prompt]:
    """The first ``count`` prompts of a kind, ``hand``, ``person``, ``horse`` or ``rider``."""
    return [_one(kind, index) for index in range(count)]


def _one(kind: str, index: int) -> Prompt:
    if kind == "hand":
        colour = BACKGROUNDS[index % len(BACKGROUNDS)]
        pose = (
            "an open hand",
            "a hand with fingers spread",
            "a relaxed hand",
            "a hand with two fingers up",
            "an open hand, palm side",
            "an open hand, back of the hand",
            "a hand with three fingers up",
        )[index % 7]
        return Prompt(kind, f"{pose} on a {colour} background", "background", colour)
    if kind == "person":
        colour = SHIRTS[index % len(SHIRTS)]
        doing = ("standing", "walking", "waving", "with arms up")[index % 4]
        return Prompt(kind, f"a {('man', 'woman')[index % 2]} {doing} in a {colour} shirt", "shirt", colour)
    colour = COATS[index % len(COATS)]
    if kind == "horse":
        return Prompt(
            kind, f"a {colour} horse {('standing', 'walking', 'galloping')[index % 3]}", "coat", colour
        )
    return Prompt(kind, f"a {('man', 'woman')[index % 2]} riding a {colour} horse", "coat", colour)
