"""Scores, failures and the life of an individual as data."""

from __future__ import annotations

import math

import pytest

from genome import Evaluation, Failure, Genome, Individual, Objective


def individual(scores: tuple[float, ...], failure: Failure | None = None) -> Individual:
    return Individual(2, Genome({"a.py": "x = 1"}), "tune", (1,), "an idea", 0, scores, failure)


@pytest.mark.parametrize(("score", "failure"), [(None, None), (1.0, Failure("crash", "boom"))])
def test_an_evaluation_has_a_score_or_a_failure(score: float | None, failure: Failure | None) -> None:
    with pytest.raises(ValueError, match="a score or a failure"):
        Evaluation(score, failure, seconds=1.0, seed=0, verified=True)


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_is_finite(score: float) -> None:
    with pytest.raises(ValueError, match="non_finite"):
        Evaluation(score, None, seconds=1.0, seed=0, verified=True)


def test_the_score_is_the_mean_and_the_spread_needs_two() -> None:
    assert individual((1.0, 2.0, 3.0)).score == 2.0
    assert individual((1.0, 2.0, 3.0)).sd == 1.0
    assert individual((1.0,)).sd is None
    assert individual(()).score is None


def test_an_individual_that_failed_once_has_no_score() -> None:
    assert individual((1.0,), Failure("crash", "boom")).score is None


@pytest.mark.parametrize(("direction", "better"), [("minimize", 0.5), ("maximize", 1.5)])
def test_gain_is_positive_for_the_better_score_in_either_direction(direction: str, better: float) -> None:
    objective = Objective("score", direction)  # type: ignore[arg-type]
    assert objective.gain(better, 1.0) == 0.5
    assert objective.sign * better < objective.sign * 1.0


def test_a_direction_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="minimize or maximize; got 'up'"):
        Objective("score", "up")  # type: ignore[arg-type]
