"""The vocabulary: byte-level BPE learned from the training documents, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

BOS = "<|bos|>"  # opens every document; the only special


def train_tokenizer(documents: Iterable[str], vocab_size: int) -> Tokenizer:
    """Return a byte-level BPE tokenizer of exactly this many tokens; every text can be encoded.

    Raises:
        ValueError: the documents do not hold enough distinct pairs for so many tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"vocab_size {vocab_size} is out of reach: these documents give {tokenizer.get_vocab_size()}")
    # a document that spells out the special is text like any other
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_lengths(tokenizer: Tokenizer) -> np.ndarray:
    """Return (vocab,) int32: the UTF-8 bytes that each token stands for; 0 for specials."""
    # in a byte-level vocabulary each character of a token's name stands for one byte
    lengths = np.zeros(tokenizer.get_vocab_size(), dtype=np.int32)
    for name, id in tokenizer.get_vocab().items():
        lengths[id] = 0 if name == BOS else len(name)
    return lengths


def encode_documents(tokenizer: Tokenizer, documents: Sequence[str]) -> np.ndarray:
    """Return (tokens,) uint16: the documents one after another, each opened by BOS."""
    bos = tokenizer.token_to_id(BOS)
    # encode_batch would hold every offset of every document at once; one at a time is as fast on two cores
    parts = [np.array([bos, *tokenizer.encode(document).ids], dtype=np.uint16) for document in documents]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)
