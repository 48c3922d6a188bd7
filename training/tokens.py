"""Captions as the text encoder takes them. Apart from the vocabulary, which needs the rendered world."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import CLIPTokenizer


def tokenize(texts: Sequence[str], tokenizer: CLIPTokenizer) -> torch.Tensor:
    """Token ids int64 (N, length), cut or filled to the tokenizer's length."""
    tokens = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert isinstance(tokens, torch.Tensor)
    return tokens
