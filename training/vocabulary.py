"""The bundled generator's tokenizer: CLIP's algorithm over the few hundred words of the rendered world."""

from __future__ import annotations

import json

import numpy as np
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

from training.anatomy.backgrounds import PLAIN_COLOURS
from training.anatomy.captions import caption
from training.anatomy.persons import POSES

MAX_TOKENS = 32
_START, _END, _WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
_COATS = ("brown", "black", "white", "grey", "chestnut", "golden")


def build_tokenizer() -> CLIPTokenizer:
    """A tokenizer with whole words for the world's captions and bytes for all else; always the same."""
    like_clip = CLIPTokenizer().backend_tokenizer
    trained = Tokenizer(BPE(end_of_word_suffix=_WORD_END))
    trained.normalizer, trained.pre_tokenizer = like_clip.normalizer, like_clip.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=4000,
        initial_alphabet=alphabet,
        end_of_word_suffix=_WORD_END,
        show_progress=False,
        min_frequency=1,
    )
    trained.train_from_iterator(_captions(20_000), trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = [*alphabet, *(letter + _WORD_END for letter in alphabet)]
    tokens += sorted(set(model["vocab"]) - set(tokens))
    tokens += [_START, _END]
    merges = [tuple(pair) for pair in model["merges"]]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, merges=merges, model_max_length=MAX_TOKENS
    )


def _captions(count: int) -> list[str]:
    """Captions over all facts that a scene can have."""
    from training.anatomy.scenes import CLOTHES, KINDS, SKINS

    rng = np.random.default_rng(7)

    def one(words: object) -> str:
        return str(rng.choice(list(words)))  # type: ignore[call-overload]

    made = []
    for _ in range(count):
        kind = one(KINDS)
        facts = {
            "pose": one(POSES)
            if kind == "person"
            else one(("open", "relaxed", "pointing", "fist", "two", "three")),
            "skin": one(SKINS),
            "sleeve": one(CLOTHES),
            "side": one(("back", "palm")),
            "who": one(("man", "woman")),
            "shirt": one(CLOTHES),
            "trousers": one(CLOTHES),
            "coat": one(_COATS),
            "view": one(("side", "angle")),
            "gait": one(("standing", "walking", "galloping")),
            "background": one(PLAIN_COLOURS),
        }
        made.append(caption(kind, facts, rng))
    return made
