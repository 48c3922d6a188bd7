from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import InvalidRequest
from service.core.prompt_syntax import TAG, Piece, Prompt, parse_prompt, windows_of, words_of

SIGNS = st.sampled_from(
    [
        "(",
        ")",
        "hand ",
        "a ",
        ":1.2)",
        ":.5)",
        " BREAK ",
        "<lora:x:1>",
        "<lo",
        "ra:y>",
        "\\(",
        "\\)",
        "[SEP]",
        ":",
        ",",
    ]
)
WORDS = st.text("abc ,.é-[]{}<>:1)", max_size=30)


def pieces(text: str) -> list[tuple[str, float]]:
    return [(piece.text, piece.weight) for chunk in parse_prompt(text).chunks for piece in chunk]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a (waving:1.5) man", [("a ", 1.0), ("waving", 1.5), (" man", 1.0)]),
        ("((a:2) b:0.5)", [("a", 1.0), (" b", 0.5)]),
        ("(a:.5)(b:0)", [("a", 0.5), ("b", 0.0)]),
        ("(a (left) one:1.5)", [("a (left) one", 1.5)]),
        ("a man (left), 16:9)", [("a man (left), 16:9)", 1.0)]),
        (r"a \(b:1.2\)", [("a (b:1.2)", 1.0)]),
        ("(plain:1.0)", [("plain", 1.0)]),
        ("(open:1.2", [("(open:1.2", 1.0)]),
    ],
)
def test_words_and_their_weights(text, wanted):
    assert pieces(text) == wanted


def test_chunks_are_parted_by_the_word_break_alone():
    parsed = parse_prompt("a hand BREAK at BREAKFAST, (waving BREAK red:2)")
    assert [[piece.text for piece in chunk] for chunk in parsed.chunks] == [
        ["a hand"],
        ["at BREAKFAST, ", "waving"],
        ["red"],
    ]
    assert [piece.text for piece in parsed.weighted] == ["waving", "red"]


def test_additional_networks_are_taken_out_and_told():
    parsed = parse_prompt("a <lora:foo:0.8> man <LyCO:bar>")
    assert parsed.text.strip() == "a man"
    assert parsed.is_plain
    told = parsed.unused_tags("negative_prompt")
    assert [(one.name, one.where) for one in told] == [
        ("negative_prompt", "<lora:foo:0.8>"),
        ("negative_prompt", "<LyCO:bar>"),
    ]


@pytest.mark.parametrize("text", ["(a:10.5)", "((a:4):4)", f"(a:{'9' * 400})", f"((a:0):{'9' * 400})"])
def test_weights_that_no_encoder_could_use_are_refused(text):
    with pytest.raises(InvalidRequest) as refused:
        parse_prompt(text)
    assert (refused.value.code, refused.value.allowed) == ("prompt_weight_out_of_range", [0, 10])


@given(WORDS)
def test_plain_words_come_back_unchanged(text):
    assert parse_prompt(text) == Prompt(((Piece(text),),) if text else ((),))


@given(st.lists(SIGNS, max_size=40).map("".join))
def test_no_prompt_is_too_odd_and_no_tag_stays(text):
    parsed = _parsed(text)
    if parsed is None:
        return
    assert all(piece.text and 0 <= piece.weight <= 10 for chunk in parsed.chunks for piece in chunk)
    if "(" not in text:  # a bracket that is taken out may bring a tag's halves together: those are words
        assert not TAG.search(parsed.text)


@given(st.lists(st.tuples(WORDS, st.sampled_from([0.5, 1.0, 2.0])), max_size=8), st.integers(1, 9))
def test_windows_hold_all_words_in_order_and_none_too_many_tokens(chunk, room):
    words = words_of([Piece(text, weight) for text, weight in chunk], len, room)
    windows = windows_of(words, room)
    assert [word for window in windows for word in window] == words
    assert all(sum(word.tokens for word in window) <= room for window in windows)
    assert "".join(word.text for word in words) == "".join("".join(text.split()) for text, _ in chunk)
    for window, after in pairwise(windows):
        assert sum(word.tokens for word in window) + after[0].tokens > room, "a window could be fuller"


def _parsed(text: str) -> Prompt | None:
    try:
        return parse_prompt(text)
    except InvalidRequest:
        return None
