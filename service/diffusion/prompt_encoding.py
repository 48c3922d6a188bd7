"""Encoding of prompts for a pipeline, and the parts of prompts that it does not read.

A text encoder reads a window with a limited number of tokens, and the pipelines drop the rest. A UNet with
cross-attention accepts any number of windows in sequence. So longer prompts are encoded window by window,
each by the pipeline's own ``encode_prompt``. A prompt that fits and has no special syntax is passed to the
pipeline unchanged.
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
"""Largest number of characters that are reported of a cut-off part of a prompt."""

Window = Sequence[Word]


def prompt_arguments(pipeline: Any, prompt: str, negative_prompt: str) -> dict[str, Any]:
    """Returns the pipeline's arguments for two prompts: as text, or encoded.

    Raises:
        InvalidRequest: see ``parse_prompt``.
    """
    wanted, unwanted = parse_prompt(prompt), parse_prompt(negative_prompt)
    if _takes_windows(pipeline) and not (_fits(pipeline, wanted) and _fits(pipeline, unwanted)):
        return _encoded(pipeline, wanted, unwanted)
    words = {"prompt": wanted.text}
    if unwanted.text and "negative_prompt" in _parameters(pipeline):
        words["negative_prompt"] = unwanted.text
    return words


def unused_of(pipeline: Any, prompt: str, name: str) -> tuple[Unused, ...]:
    """Returns the parts of a prompt that have no effect in a pipeline.

    Args:
        pipeline: the pipeline that draws.
        prompt: the prompt, as requested.
        name: the parameter that held it.
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
    """Tells whether a negative prompt has an effect in a pipeline at this guidance scale."""
    known = _parameters(pipeline)
    if "negative_prompt" not in known:
        return False
    if (
        "true_cfg_scale" in known
    ):  # its guidance_scale is an input of a distilled model; true_cfg_scale is not set
        return bool(known["true_cfg_scale"].default > 1.0)
    unet = getattr(pipeline, "unet", None)
    is_distilled = unet is not None and unet.config.get("time_cond_proj_dim") is not None
    return guidance_scale > 1.0 and not is_distilled


def _takes_windows(pipeline: Any) -> bool:
    """Tells whether it is Stable Diffusion or SDXL, the families that accept text of any length."""
    given = _parameters(pipeline)
    return getattr(pipeline, "unet", None) is not None and all(name in given for name in EMBEDDINGS)


def _parameters(pipeline: Any) -> Any:
    return inspect.signature(pipeline.__call__).parameters


def _readers(pipeline: Any) -> list[tuple[Any, int]]:
    """Returns each tokenizer with the number of tokens that its encoder reads, without the special ones."""
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
    """Returns the words that do not fit, or the first of them if there are many; empty if all fit."""
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
    """Returns the embeddings of both prompts, of equal length, as the pipeline's arguments.

    The pooled embedding (SDXL) is that of the first window.
    """
    # Without a negative prompt a pipeline may use zeros, which differ from the embedding of an empty prompt.
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
    """Scales each token's difference from the empty prompt's embedding by its weight; 0 removes a word.

    Args:
        embedding: embedding of the window, (1, tokens, C).
        nothing: embedding of the empty prompt, of the same shape.
        window: the words of the window.
    """
    weights = torch.ones(embedding.shape[1])
    each = [word.weight for word in window for _ in range(word.tokens)]
    weights[1 : 1 + len(each)] = torch.tensor(each)
    weights = weights.to(embedding)[None, :, None]
    return torch.where(weights == 1.0, embedding, nothing + weights * (embedding - nothing))


def _text(window: Window) -> str:
    return " ".join(word.text for word in window)
