"""The trusted score as arithmetic: bits per byte, twins, requests and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitness.scoring import (
    Refused,
    Rows,
    bits_per_byte,
    log_probabilities,
    plan_requests,
    score,
    splice_twins,
    spread_rows,
)

VOCAB = 32
TOKEN_BYTES = np.arange(VOCAB) % 4  # every fourth token is a special without bytes

seeds = st.integers(0, 2**32 - 1)


def some_rows(seed: int, count: int = 8, length: int = 16) -> Rows:
    rng = np.random.default_rng(seed)
    return Rows(rng.integers(0, VOCAB, (count, length + 1)), np.arange(count) % 3)


def bigram(inputs: np.ndarray) -> np.ndarray:
    """Logits that depend on the token before alone."""
    return np.sin(inputs[..., None] * 3.0 + np.arange(VOCAB)).astype(np.float32)


@given(seeds, st.integers(1, 200))
def test_uniform_predictions_cost_the_bits_of_the_vocabulary_for_each_token(seed: int, count: int) -> None:
    token_bytes = np.random.default_rng(seed).integers(1, 9, count)
    bits = count * math.log2(VOCAB) / token_bytes.sum()
    assert bits_per_byte(np.full(count, -math.log(VOCAB)), token_bytes) == pytest.approx(bits)


@given(seeds, st.integers(2, 50))
def test_bits_per_byte_ignores_order_and_specials_and_falls_with_probability(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs, token_bytes, order = -rng.random(count), rng.integers(1, 5, count), rng.permutation(count)
    bpb = bits_per_byte(log_probs, token_bytes)
    assert bits_per_byte(log_probs[order], token_bytes[order]) == pytest.approx(bpb)
    assert bits_per_byte(np.append(log_probs, -50.0), np.append(token_bytes, 0)) == bpb
    assert bits_per_byte(log_probs + 0.1, token_bytes) < bpb


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_bits_per_byte_refuses_what_is_not_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        bits_per_byte(np.array([-1.0, bad]), np.array([1, 0]))


def test_bits_per_byte_refuses_text_without_bytes() -> None:
    with pytest.raises(ValueError, match="no byte"):
        bits_per_byte(np.array([-1.0]), np.array([0]))


@given(seeds, st.floats(-1e4, 1e4), st.floats(0, 30))
def test_log_probabilities_are_normalised_whatever_the_offset(seed: int, offset: float, scale: float) -> None:
    logits = (np.random.default_rng(seed).normal(size=(3, VOCAB)) * scale).astype(np.float32)
    every = np.tile(np.arange(VOCAB), (3, 1))
    shifted = log_probabilities((logits + np.float32(offset)).astype(np.float32), every)
    assert np.exp(shifted).sum(axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert np.abs(shifted - log_probabilities(logits, every)).max() < 1e-2


def test_huge_logits_do_not_overflow() -> None:
    logits = np.full((1, VOCAB), -3e38, np.float32)
    logits[0, 5] = 3e38
    assert log_probabilities(logits, np.array([[5]]))[0, 0] == 0.0


@given(seeds)
def test_a_twin_is_its_row_before_the_cut_and_another_documents_after_it(seed: int) -> None:
    rows = some_rows(seed)
    twins = splice_twins(rows, np.random.default_rng(seed + 1))
    for row, (tokens, cut) in enumerate(zip(twins.tokens, twins.cuts, strict=True)):
        assert 1 <= cut < rows.inputs.shape[1]
        assert (tokens[:cut] == rows.tokens[row, :cut]).all()
        assert tokens[cut] != rows.tokens[row, cut]
        donors = rows.tokens[rows.documents != rows.documents[row]]
        assert (donors[:, cut:] == tokens[cut:]).all(axis=1).any()


def test_cuts_are_drawn_anew_each_time() -> None:
    rows = some_rows(0, count=64)
    assert (
        splice_twins(rows, np.random.default_rng(1)).cuts != splice_twins(rows, np.random.default_rng(2)).cuts
    ).any()


def test_twins_need_a_second_document() -> None:
    rows = some_rows(0)
    with pytest.raises(ValueError, match="two documents"):
        splice_twins(Rows(rows.tokens, np.zeros(len(rows))), np.random.default_rng(0))


@given(seeds, st.integers(2, 40))
def test_requests_hold_everything_once_and_no_row_beside_its_twin(seed: int, count: int) -> None:
    requests = list(plan_requests(count, np.random.default_rng(seed)))
    flat = [item for request in requests for item in request]
    assert sorted(flat) == sorted((row, twin) for row in range(count) for twin in (False, True))
    assert all(len({row for row, _ in request}) == len(request) for request in requests)
    assert max(map(len, requests)) - min(map(len, requests)) <= 2


def test_one_row_cannot_be_asked_for_apart_from_its_twin() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        list(plan_requests(1, np.random.default_rng(0)))


@given(st.integers(1, 20), st.integers(0, 300))
def test_rows_are_the_same_whenever_they_are_drawn_and_lie_within_the_text(count: int, more: int) -> None:
    text = np.arange(20 + more, dtype=np.uint16)
    rows = spread_rows(text, np.array([0, 10]), count, 16)
    assert (rows.tokens == spread_rows(text, np.array([0, 10]), count, 16).tokens).all()
    assert rows.tokens.shape == (count, 17)
    assert (np.diff(rows.tokens, axis=1) == 1).all()
    assert (rows.documents == np.where(rows.tokens[:, 0] >= 10, 2, 1)).all()


def test_a_short_text_has_no_rows() -> None:
    with pytest.raises(ValueError, match="17 tokens"):
        spread_rows(np.arange(10), np.array([0]), 2, 16)


@settings(max_examples=25)
@given(seeds)
def test_an_honest_model_gets_the_bits_that_it_needs(seed: int) -> None:
    rows = some_rows(seed)
    logits = bigram(rows.inputs).astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    own = np.take_along_axis(log_probs, rows.targets[..., None], axis=2)
    expected = bits_per_byte(own.ravel(), TOKEN_BYTES[rows.targets].ravel())
    assert score(rows, TOKEN_BYTES, bigram, np.random.default_rng(seed)) == pytest.approx(expected, abs=1e-6)


def peeks(inputs: np.ndarray) -> np.ndarray:
    logits = bigram(inputs)
    np.put_along_axis(logits[:, :-1], inputs[:, 1:, None], 5.0, axis=2)
    return logits


def looks_at_the_end(inputs: np.ndarray) -> np.ndarray:
    return bigram(inputs) + bigram(inputs[:, -1:])


def mixes_rows(inputs: np.ndarray) -> np.ndarray:
    return bigram(inputs) + bigram(inputs).mean(axis=0, keepdims=True)


@pytest.mark.parametrize("cheat", [peeks, looks_at_the_end, mixes_rows])
def test_a_model_that_sees_the_future_or_other_rows_is_refused(cheat: Callable[[np.ndarray], np.ndarray]) -> None:
    rows = some_rows(1, count=64)
    with pytest.raises(Refused) as refusal:
        score(rows, TOKEN_BYTES, cheat, np.random.default_rng(2))
    assert refusal.value.failure.kind == "peeks_ahead"


def test_who_peeks_at_a_share_of_positions_is_found_as_often_as_the_arithmetic_says() -> None:
    share, rows, found = 0.05, some_rows(3, count=64), 0
    for trial in range(60):
        hidden = np.random.default_rng(trial).random(rows.inputs.shape[1] - 1) < share

        def seldom(inputs: np.ndarray, hidden: np.ndarray = hidden) -> np.ndarray:
            logits = bigram(inputs)
            logits[:, :-1][:, hidden] = peeks(inputs)[:, :-1][:, hidden]
            return logits

        try:
            score(rows, TOKEN_BYTES, seldom, np.random.default_rng(1000 + trial))
        except Refused:
            found += 1
        else:
            found += not hidden.any()  # nothing to find
    assert found / 60 > 1 - (1 - share) ** 64 - 0.1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_logit_is_refused(bad: float) -> None:
    def answer(inputs: np.ndarray) -> np.ndarray:
        logits = bigram(inputs)
        logits[..., 7, 3] = bad
        return logits

    with pytest.raises(Refused) as refusal:
        score(some_rows(0), TOKEN_BYTES, answer, np.random.default_rng(0))
    assert refusal.value.failure.kind == "non_finite"


def test_tokens_may_have_no_probability_where_they_do_not_come() -> None:
    rows = Rows(some_rows(0).tokens % (VOCAB - 1), some_rows(0).documents)

    def answer(inputs: np.ndarray) -> np.ndarray:
        logits = bigram(inputs)
        logits[..., VOCAB - 1] = -math.inf
        return logits

    assert math.isfinite(score(rows, TOKEN_BYTES, answer, np.random.default_rng(0)))
