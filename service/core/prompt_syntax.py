"""Parser of prompt syntax: weights, ``BREAK``, and tags of additional networks. No torch."""

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
    """Words of one weight; plain words have weight 1."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """A parsed prompt.

    Attributes:
        chunks: the pieces between ``BREAK``; each chunk is encoded by itself.
        tags: tags removed from the text, such as ``<lora:name:0.8>``.
    """

    chunks: tuple[tuple[Piece, ...], ...]
    tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words alone. A prompt without special syntax is returned unchanged."""
        return " ".join("".join(piece.text for piece in chunk) for chunk in self.chunks)

    @property
    def is_plain(self) -> bool:
        """True if the prompt has only one chunk and no weights."""
        return len(self.chunks) == 1 and not self.weighted

    @property
    def weighted(self) -> tuple[Piece, ...]:
        """The pieces with a weight other than 1."""
        return tuple(piece for chunk in self.chunks for piece in chunk if piece.weight != 1.0)

    def unused_tags(self, name: str) -> tuple[Unused, ...]:
        """Returns a record for each tag; ``name`` is the parameter that held the prompt."""
        return tuple(Unused(name, NO_SUCH_PART, tag) for tag in self.tags)


@dataclass(frozen=True, slots=True)
class Word:
    """One word for the text encoder, without white space.

    Attributes:
        tokens: number of its tokens.
    """

    text: str
    weight: float
    tokens: int


def parse_prompt(text: str) -> Prompt:
    r"""Parses a prompt: ``(words:1.2)`` weighs words, ``BREAK`` separates chunks, ``<lora:…>`` is removed.

    Nested weights are multiplied. Brackets without a number are kept, and so are escaped ones, without
    their backslash: ``\(words:1.2\)``.

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
    """Splits a chunk into words; a word of more than ``room`` tokens is halved until it fits."""
    words = [(part, piece.weight) for piece in chunk for part in piece.text.split()]
    return [
        Word(fitting, weight, count(fitting))
        for part, weight in words
        for fitting in _halved(part, count, room)
    ]


def windows_of(words: Sequence[Word], room: int) -> list[tuple[Word, ...]]:
    """Groups words into windows of at most ``room`` tokens, as full as possible; there is at least one."""
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
    while TAG.search(text):  # repeated, since the removal of one tag may form another
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
    """Weighs all pieces since the opening bracket, and drops the bracket."""
    chunk, place = opened
    del chunks[chunk][place]
    for at in range(chunk, len(chunks)):
        first = place if at == chunk else 0
        chunks[at][first:] = [replace(p, weight=p.weight * weight) for p in chunks[at][first:]]


def _merged(chunk: Sequence[Piece]) -> tuple[Piece, ...]:
    """Joins neighbours of equal weight and drops empty pieces."""
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
