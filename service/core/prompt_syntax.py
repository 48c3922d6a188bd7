"""Reads what a prompt says beside its words: weights, ``BREAK``, tags of additional networks. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from service.core.errors import InvalidRequest
from service.core.report import Unused

MAX_WEIGHT = 10.0
BREAK = "BREAK"
TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>\s*", re.IGNORECASE)
NO_SUCH_PART = "no such addition is loaded; it was taken out of the prompt"
_SIGN = re.compile(r"\\[()]|:\s*(\d+\.?\d*|\.\d+)\s*\)|[()]|\s*\bBREAK\b\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words that have one weight; 1 is that of plain words."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt taken apart.

    Attributes:
        chunks: what ``BREAK`` parts; each is encoded by itself.
        tags: what was taken out of the text, such as ``<lora:name:0.8>``.
    """

    chunks: tuple[tuple[Piece, ...], ...]
    tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words alone. Of a prompt that says nothing beside its words it is that prompt, unchanged."""
        return " ".join("".join(piece.text for piece in chunk) for chunk in self.chunks)

    @property
    def is_plain(self) -> bool:
        """Whether the text alone says all of it."""
        return len(self.chunks) == 1 and not self.weighted

    @property
    def weighted(self) -> tuple[Piece, ...]:
        """The pieces whose weight is not 1."""
        return tuple(piece for chunk in self.chunks for piece in chunk if piece.weight != 1.0)

    def unused_tags(self, name: str) -> tuple[Unused, ...]:
        """A record for each tag; ``name`` is the parameter that the prompt came in."""
        return tuple(Unused(name, NO_SUCH_PART, tag) for tag in self.tags)


@dataclass(frozen=True, slots=True)
class Word:
    """What a text encoder reads as one: no white space in it.

    Attributes:
        tokens: how many it takes.
    """

    text: str
    weight: float
    tokens: int


def parse_prompt(text: str) -> Prompt:
    r"""Takes a prompt apart: ``(words:1.2)`` weighs words, ``BREAK`` parts chunks, ``<lora:…>`` is taken out.

    Weights in weights are multiplied. Brackets without a number stay as they are, and so do those after a
    backslash, which is dropped: ``\(words:1.2\)``.

    Raises:
        InvalidRequest: ``prompt_weight_out_of_range``, for a weight above ``MAX_WEIGHT``.
    """
    text, tags = _without_tags(text)
    chunks: list[list[Piece]] = [[]]
    opened: list[tuple[int, int]] = []
    last = 0
    for sign in _SIGN.finditer(text):
        before = text[last : sign.start()]
        chunks[-1].append(Piece(before))
        found, last = sign[0], sign.end()
        if found.strip() == BREAK:
            chunks.append([])
        elif sign[1] is not None and opened:
            _weigh(chunks, opened.pop(), float(sign[1]))
        else:
            if found == "(":
                opened.append((len(chunks) - 1, len(chunks[-1])))
            elif found[-1] == ")" and found[0] != "\\" and opened:
                opened.pop()
            chunks[-1].append(Piece(found.removeprefix("\\") if found[0] == "\\" else found))
    chunks[-1].append(Piece(text[last:]))
    prompt = Prompt(tuple(_merged(chunk) for chunk in chunks), tags)
    for piece in prompt.weighted:
        _check_weight(piece)
    return prompt


def words_of(chunk: Sequence[Piece], count: Callable[[str], int], room: int) -> list[Word]:
    """The words of a chunk; what alone takes more than ``room`` tokens is halved until it does not."""
    words = [(part, piece.weight) for piece in chunk for part in piece.text.split()]
    return [
        Word(fitting, weight, count(fitting))
        for part, weight in words
        for fitting in _halved(part, count, room)
    ]


def windows_of(words: Sequence[Word], room: int) -> list[tuple[Word, ...]]:
    """The words in windows of at most ``room`` tokens each, as full as they can be; one at least."""
    windows: list[list[Word]] = [[]]
    taken = 0
    for word in words:
        if windows[-1] and taken + word.tokens > room:
            windows.append([])
            taken = 0
        windows[-1].append(word)
        taken += word.tokens
    return [tuple(window) for window in windows]


def _without_tags(text: str) -> tuple[str, tuple[str, ...]]:
    tags: list[str] = []
    while TAG.search(text):  # again, since taking one out may leave another one behind
        tags += [tag.strip() for tag in TAG.findall(text)]
        text = TAG.sub("", text)
    return text, tuple(tags)


def _check_weight(piece: Piece) -> None:
    if not piece.weight <= MAX_WEIGHT:  # written so that NaN is refused too
        raise InvalidRequest(
            f"{piece.text.strip()!r} has the weight {piece.weight:g} in the prompt",
            code="prompt_weight_out_of_range",
            allowed=[0, MAX_WEIGHT],
        )


def _weigh(chunks: list[list[Piece]], opened: tuple[int, int], weight: float) -> None:
    """Weighs all that came since a bracket, and drops the bracket."""
    chunk, place = opened
    del chunks[chunk][place]
    for at in range(chunk, len(chunks)):
        first = place if at == chunk else 0
        chunks[at][first:] = [replace(p, weight=p.weight * weight) for p in chunks[at][first:]]


def _merged(chunk: Sequence[Piece]) -> tuple[Piece, ...]:
    """Neighbours of one weight together, and nothing empty."""
    merged: list[Piece] = []
    for piece in chunk:
        if not piece.text:
            continue
        if merged and merged[-1].weight == piece.weight:
            merged[-1] = replace(piece, text=merged[-1].text + piece.text)
        else:
            merged.append(piece)
    return tuple(merged)


def _halved(word: str, count: Callable[[str], int], room: int) -> list[str]:
    if len(word) == 1 or count(word) <= room:
        return [word]
    middle = len(word) // 2
    return _halved(word[:middle], count, room) + _halved(word[middle:], count, room)
