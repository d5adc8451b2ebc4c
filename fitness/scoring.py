"""The trusted score: bits per byte from logits that fresh processes answer, and the twins that show who peeks.

The engine alone holds the rows. It asks for logits in requests of equal shape; half the rows of each request are
spliced twins: the beginning of a validation row that stands in another request, with another document's end. What a
model says before the cut must be the same for both, or it has seen what comes after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from genome.individual import Failure

REQUESTS = 4  # fresh processes of one scoring; a row and its twin are never in the same one
# of one log-probability before the cut. Measured on CPU in fp32, bf16 weights, bf16 autocast and an LSTM: exactly 0,
# as all batches have one shape. What stays below it gains at most 0.001 / ln 2 / 3.3 bytes = 0.0004 bpb, σ / 7.
TOLERANCE_NATS = 1e-3


class Refused(Exception):
    """The genome gets no score; holds the Failure."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(kind, detail)


@dataclass(frozen=True)
class Rows:
    """Rows of text to be predicted.

    Attributes:
        tokens: (rows, length + 1) int64; a model sees all but the last, and predicts all but the first.
        documents: (rows,) number of the document that each row begins in.
    """

    tokens: np.ndarray
    documents: np.ndarray

    @property
    def inputs(self) -> np.ndarray:
        return self.tokens[:, :-1]

    @property
    def targets(self) -> np.ndarray:
        return self.tokens[:, 1:]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Twins:
    """One twin per row: equal before the cut, another document's from there on.

    Attributes:
        tokens: (rows, length + 1) int64.
        cuts: (rows,) the first position that differs, at least 1 and within the inputs.
    """

    tokens: np.ndarray
    cuts: np.ndarray


Answer = Callable[[np.ndarray], np.ndarray]  # (rows, length) tokens -> (rows, length, vocabulary) float32 logits


def bits_per_byte(log_probs: np.ndarray, token_bytes: np.ndarray) -> float:
    """Return validation loss in bits per byte; lower is better.

    Args:
        log_probs: (tokens,) natural log-probability of each true next token.
        token_bytes: (tokens,) UTF-8 length of each token; 0 for specials, which are left out.

    Raises:
        ValueError: a log-probability is not finite, or no byte was predicted.
    """
    if not np.isfinite(log_probs).all():
        raise ValueError("a log-probability is not finite")
    scored = token_bytes > 0
    total_bytes = int(token_bytes[scored].sum(dtype=np.int64))
    if total_bytes == 0:
        raise ValueError("no byte was predicted")
    return float(-log_probs[scored].sum(dtype=np.float64) / math.log(2) / total_bytes)


def spread_rows(text: np.ndarray, document_starts: np.ndarray, count: int, length: int) -> Rows:
    """Return rows spread evenly over a text: the same ones for every individual, so that scores compare.

    Raises:
        ValueError: the text is too short.
    """
    if len(text) < length + 1:
        raise ValueError(f"a row takes {length + 1} tokens; the text has {len(text)}")
    starts = np.linspace(0, len(text) - length - 1, count).astype(np.int64)
    tokens = np.stack([np.asarray(text[start : start + length + 1], dtype=np.int64) for start in starts])
    return Rows(tokens, np.searchsorted(document_starts, starts, side="right"))


def splice_twins(rows: Rows, rng: np.random.Generator) -> Twins:
    """Return a twin for each row, with cut and donor drawn anew.

    Raises:
        ValueError: a row has no other document's row to be spliced with.
    """
    twins, cuts = rows.tokens.copy(), np.zeros(len(rows), dtype=np.int64)
    for row, document in enumerate(rows.documents):
        for donor in rng.permutation(np.flatnonzero(rows.documents != document)):
            # at the cut the two differ: there is something to see
            differs = 1 + np.flatnonzero(rows.tokens[row, 1:-1] != rows.tokens[donor, 1:-1])
            if len(differs):
                cuts[row] = rng.choice(differs)
                twins[row, cuts[row] :] = rows.tokens[donor, cuts[row] :]
                break
        else:
            raise ValueError("twins need rows of at least two documents that differ")
    return Twins(twins, cuts)


def plan_requests(count: int, rng: np.random.Generator) -> Iterator[list[tuple[int, bool]]]:
    """Yield requests as (row, is its twin) in random order: all rows and twins once, never both in one request."""
    groups = np.array_split(rng.permutation(count), min(REQUESTS, count))
    if len(groups) < 2:
        raise ValueError(f"twins are asked for apart from their rows: at least 2 rows are needed; got {count}")
    for number, group in enumerate(groups):
        others = groups[(number + 1) % len(groups)]
        request = [(int(row), False) for row in group] + [(int(row), True) for row in others]
        yield [request[i] for i in rng.permutation(len(request))]


def log_probabilities(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return (positions, k) float64 natural log-probabilities of k tokens at each position.

    Args:
        logits: (positions, vocabulary) float32, not normalised.
        tokens: (positions, k).
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        top = logits.max(axis=1, keepdims=True)
        total = np.exp(logits - top).sum(axis=1, dtype=np.float64)
        chosen = np.take_along_axis(logits, tokens, axis=1).astype(np.float64)
        return chosen - top - np.log(total)[:, None]


def score(rows: Rows, token_bytes: np.ndarray, answer: Answer, rng: np.random.Generator) -> float:
    """Return bits per byte of the rows as predicted by what answers.

    Args:
        token_bytes: (vocabulary,) UTF-8 length of each token.
        rng: from the operating system's randomness, so that nobody knows the cuts beforehand.

    Raises:
        Refused: non_finite or peeks_ahead; or what `answer` refuses.
    """
    twins = splice_twins(rows, rng)
    own, twin = (np.empty((*rows.targets.shape, 2)) for _ in range(2))
    # the row's next token and its twin's, for both of them: all that a score can come from
    watched = np.stack([rows.targets, twins.tokens[:, 1:]], axis=2)
    for request in plan_requests(len(rows), rng):
        inputs = np.stack([(twins.tokens if is_twin else rows.tokens)[row, :-1] for row, is_twin in request])
        for (row, is_twin), logits in zip(request, answer(inputs), strict=True):
            (twin if is_twin else own)[row] = log_probabilities(logits, watched[row])
    before = np.arange(own.shape[1]) < twins.cuts[:, None]
    if not (np.isfinite(own[:, :, 0]).all() and np.isfinite(twin[before]).all()):
        raise Refused("non_finite", "the logits are not finite, or give a true next token no probability")
    gap = np.abs(own - twin)[before]
    if not gap.max() <= TOLERANCE_NATS:
        detail = f"what it says at a position changed by {gap.max():.3g} nats with the text after it"
        raise Refused("peeks_ahead", f"{detail}; at most {TOLERANCE_NATS} is rounding")
    return bits_per_byte(own[:, :, 0].ravel(), token_bytes[rows.targets].ravel())
