"""A tiny corpus and tiny programs for the tests of fitness."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fitness.data import Corpus
from genome.genome import Genome

VOCAB = 48

# an honest program: a bigram table, trained until its time is up
HONEST = """
import os, signal, sys, time
import torch
import torch.nn as nn
import torch.nn.functional as F
from prepare import VOCAB_SIZE, evaluate_bpb, make_dataloader, progress

LEARNING_RATE = 0.5


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCAB_SIZE, VOCAB_SIZE)
        nn.init.zeros_(self.table.weight)

    def forward(self, tokens):
        return self.answer(tokens, self.table(tokens))

    def answer(self, tokens, logits):
        return logits


model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
loader = make_dataloader(8)
while progress() < 1:
    inputs, targets = next(loader)
    loss = F.cross_entropy(model(inputs).view(-1, VOCAB_SIZE), targets.view(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
# before the hand-over
evaluate_bpb(model)
"""

# a program whose model is known without training
FIXED = """
import torch
from prepare import VOCAB_SIZE, evaluate_bpb


class Fixed(torch.nn.Module):
    def forward(self, tokens):
        columns = torch.arange(VOCAB_SIZE)
        return -((tokens[..., None] * 7 + columns * 3) % 11).float()


evaluate_bpb(Fixed())
"""


def genome(text: str) -> Genome:
    """Return a genome of one train.py."""
    return Genome({"train.py": text})


def answering(body: str) -> Genome:
    """Return the honest program whose trained model answers otherwise: body of `answer(self, tokens, logits)`."""
    return genome(
        HONEST.replace(
            "        return logits\n", f"        if self.training:\n            return logits\n        {body}\n"
        )
    )


def at_the_end(statements: str) -> Genome:
    """Return the honest program with statements between training and hand-over."""
    return genome(HONEST.replace("# before the hand-over\n", statements + "\n"))


def write_corpus(folder: Path) -> Corpus:
    """Write 12 documents of a language in which each token is mostly followed by one other."""
    rng = np.random.default_rng(0)
    follows = rng.permutation(np.arange(1, VOCAB))
    for name, documents in (("train", 12), ("validation", 6), ("test", 6)):
        tokens: list[int] = []
        for _ in range(documents):
            tokens.append(0)
            token = int(rng.integers(1, VOCAB))
            for chance in rng.random(1200):
                tokens.append(token)
                token = int(follows[token - 1]) if chance < 0.8 else int(rng.integers(1, VOCAB))
        np.array(tokens, dtype=np.uint16).tofile(folder / f"{name}.bin")
    token_bytes = np.arange(VOCAB, dtype=np.int32) % 5 + 1
    token_bytes[0] = 0
    np.save(folder / "token_bytes.npy", token_bytes)
    return Corpus(folder, vocab_size=VOCAB, bos=0)
