"""From prompts to what a pipeline is called with, and what of them it does not read.

A text encoder reads a window of so many tokens, and the pipelines drop the rest. A UNet that takes its text
by cross-attention takes any number of windows, one after the other; so longer prompts are encoded window by
window, each by the pipeline's own ``encode_prompt``. A prompt that fits and says nothing beside its words
goes to the pipeline as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from service.core.prompt_syntax import BREAK, Piece, Prompt, Word, parse_prompt, windows_of, words_of
from service.core.report import Unused

EMBEDDINGS = ("prompt_embeds", "negative_prompt_embeds")
POOLED = ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
MOST_CUT_CHARS = 200
"""Of what was cut off a prompt so many are named."""

Window = Sequence[Word]


def prompt_arguments(pipeline: Any, prompt: str, negative_prompt: str) -> dict[str, Any]:
    """How a pipeline is told of two prompts: as words, or encoded.

    Raises:
        InvalidRequest: as ``parse_prompt`` does.
    """
    wanted, unwanted = parse_prompt(prompt), parse_prompt(negative_prompt)
    if _takes_windows(pipeline) and not (_fits(pipeline, wanted) and _fits(pipeline, unwanted)):
        return _encoded(pipeline, wanted, unwanted)
    words = {"prompt": wanted.text}
    if unwanted.text and "negative_prompt" in _parameters(pipeline):
        words["negative_prompt"] = unwanted.text
    return words


def unused_of(pipeline: Any, prompt: str, name: str) -> tuple[Unused, ...]:
    """What of a prompt a pipeline makes nothing of.

    Args:
        pipeline: what is to draw.
        prompt: as it was asked.
        name: the parameter that it came in.
    """
    parsed = parse_prompt(prompt)
    unused = list(parsed.unused_tags(name))
    if _takes_windows(pipeline):
        return tuple(unused)
    unused += [
        Unused(name, f"its weight of {piece.weight:g}: this model reads plain words only", piece.text.strip())
        for piece in parsed.weighted
    ]
    if len(parsed.chunks) > 1:
        unused.append(Unused(name, "this model reads a prompt as a whole", BREAK))
    tokenizer, room = max(_readers(pipeline), key=lambda reader: reader[1], default=(None, 0))
    if tokenizer is not None and (cut := _beyond(parsed.text, tokenizer, room)):
        unused.append(Unused(name, f"it lies beyond the {room} tokens that this model reads", cut))
    return tuple(unused)


def heeds_negative(pipeline: Any, guidance_scale: float) -> bool:
    """Whether a pipeline that is called with this guidance makes anything of a negative prompt."""
    known = _parameters(pipeline)
    if "negative_prompt" not in known:
        return False
    if (
        "true_cfg_scale" in known
    ):  # its guidance_scale is an input of a distilled model, and this one is not set
        return bool(known["true_cfg_scale"].default > 1.0)
    unet = getattr(pipeline, "unet", None)
    is_distilled = unet is not None and unet.config.get("time_cond_proj_dim") is not None
    return guidance_scale > 1.0 and not is_distilled


def _takes_windows(pipeline: Any) -> bool:
    """Whether it is a Stable Diffusion or an SDXL, the families whose text may be of any length."""
    given = _parameters(pipeline)
    return getattr(pipeline, "unet", None) is not None and all(name in given for name in EMBEDDINGS)


def _parameters(pipeline: Any) -> Any:
    return inspect.signature(pipeline.__call__).parameters


def _readers(pipeline: Any) -> list[tuple[Any, int]]:
    """Each tokenizer with how many tokens of a prompt its encoder reads, those at its ends not counted."""
    longest = _parameters(pipeline).get("max_sequence_length")
    readers = []
    for end in ("", "_2", "_3"):
        tokenizer = getattr(pipeline, f"tokenizer{end}", None)
        encoder = getattr(pipeline, f"text_encoder{end}", None)
        if tokenizer is None or encoder is None:
            continue
        is_clip = longest is None or "CLIP" in type(encoder).__name__
        limit = tokenizer.model_max_length if is_clip else longest.default
        readers.append((tokenizer, int(limit) - tokenizer.num_special_tokens_to_add()))
    return readers


def _count(tokenizer: Any, words: str) -> int:
    return len(tokenizer(words, add_special_tokens=False, truncation=False, verbose=False).input_ids)


def _fits(pipeline: Any, prompt: Prompt) -> bool:
    return prompt.is_plain and all(_count(t, prompt.text) <= room for t, room in _readers(pipeline))


def _beyond(text: str, tokenizer: Any, room: int) -> str:
    """The words that do not fit, or the first of them if there are many; empty if all do."""
    if _count(tokenizer, text) <= room:
        return ""
    words = words_of([Piece(text)], partial(_count, tokenizer), room)
    kept = windows_of(words, room)[0]
    cut = " ".join(word.text for word in words[len(kept) :])
    return cut if len(cut) <= MOST_CUT_CHARS else f"{cut[: MOST_CUT_CHARS - 1]}…"


def _windows(pipeline: Any, prompt: Prompt) -> list[tuple[Word, ...]]:
    readers = _readers(pipeline)
    room = min(room for _, room in readers)

    def count(words: str) -> int:
        return max(_count(tokenizer, words) for tokenizer, _ in readers)

    chunks = [words_of(chunk, count, room) for chunk in prompt.chunks]
    return [window for words in chunks if words for window in windows_of(words, room)] or [()]


@torch.no_grad()
def _encoded(pipeline: Any, prompt: Prompt, negative_prompt: Prompt) -> dict[str, Tensor]:
    """The embeddings of both, of equal length, as the pipeline's arguments.

    What a model adds of the prompt as a whole (SDXL's pooled embedding) is that of the first window.
    """
    # Without a negative prompt a pipeline may take zeros, which are not the embedding of no words.
    has_negative = bool(negative_prompt.text.strip())
    wanted, unwanted = _windows(pipeline, prompt), _windows(pipeline, negative_prompt)
    pairs = zip_longest(wanted, unwanted, fillvalue=())
    parts = [_window_pair(pipeline, w, u if has_negative else None) for w, u in pairs]
    arguments = {name: torch.cat([part[i] for part in parts], 1) for i, name in enumerate(EMBEDDINGS)}
    return arguments | dict(zip(POOLED, parts[0][len(EMBEDDINGS) :], strict=False))


def _window_pair(pipeline: Any, wanted: Window, unwanted: Window | None) -> list[Tensor]:
    given = list(_encode(pipeline, _text(wanted), None if unwanted is None else _text(unwanted)))
    for place, window in enumerate((wanted, unwanted or ())):
        if any(word.weight != 1.0 for word in window):
            given[place] = _weighed(given[place], _encode(pipeline, "", None)[0], window)
    return given


def _encode(pipeline: Any, prompt: str, negative_prompt: str | None) -> Sequence[Tensor]:
    encoded: Sequence[Tensor] = pipeline.encode_prompt(
        prompt=prompt,
        device=pipeline._execution_device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=True,
        negative_prompt=negative_prompt,
    )
    return encoded


def _weighed(embedding: Tensor, nothing: Tensor, window: Window) -> Tensor:
    """Moves each word's tokens away from what no words give, by their weight: 0 is as if it were not there.

    Args:
        embedding: (1, tokens, C), of the window.
        nothing: of the same shape, of no words.
        window: its words.
    """
    weights = torch.ones(embedding.shape[1])
    each = [word.weight for word in window for _ in range(word.tokens)]
    weights[1 : 1 + len(each)] = torch.tensor(each)
    weights = weights.to(embedding)[None, :, None]
    return torch.where(weights == 1.0, embedding, nothing + weights * (embedding - nothing))


def _text(window: Window) -> str:
    return " ".join(word.text for word in window)
