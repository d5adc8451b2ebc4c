"""Standings: the front, the order and σ, against plain definitions, whatever order results arrive in."""

from __future__ import annotations

import random
import statistics

from hypothesis import given, settings
from hypothesis import strategies as st

from archive.standings import Noise, Standings
from genome import Failure, Objective

CRASH = Failure("crash", "it broke")
score = st.sampled_from([1.0, 1.25, 1.5, 2.0]) | st.floats(0.5, 3.0)
life = st.tuples(st.integers(50, 150), st.lists(score | st.none(), max_size=3))
lives = st.lists(life, min_size=1, max_size=25)
directions = st.sampled_from(["minimize", "maximize"])


def build(lives: list[tuple[int, list[float | None]]], direction: str, order: int = 0) -> Standings:
    standings = Standings(Objective("x", direction), 1e-3, 2.0)  # type: ignore[arg-type]
    results = []
    for id, (size, scores) in enumerate(lives, start=1):
        standings.enter(id, size, (id - 1,) if id > 1 else ())
        results.extend((id, score) for score in scores)
    random.Random(order).shuffle(results)
    for id, score in results:
        standings.result(id, score, None if score is not None else CRASH, verified=True, device="cpu")
    return standings


def valid(lives: list[tuple[int, list[float | None]]], sign: int) -> dict[int, tuple[int, float]]:
    """Return size and signed mean of each that ran and never failed."""
    return {
        id: (size, sign * statistics.fmean(scores))
        for id, (size, scores) in enumerate(lives, start=1)
        if scores and None not in scores
    }


@settings(max_examples=300)
@given(lives, directions, st.integers(0, 9))
def test_the_front_is_all_that_no_other_dominates(lives, direction: str, order: int) -> None:
    alive = valid(lives, 1 if direction == "minimize" else -1)
    points = set(alive.values())
    expected = [p for p in points if not any(o != p and o[0] <= p[0] and o[1] <= p[1] for o in points)]
    front = build(lives, direction, order).front()
    assert [alive[id] for id in front] == sorted(expected)
    assert all(id == min(other for other, point in alive.items() if point == alive[id]) for id in front)


@settings(max_examples=200)
@given(lives, directions, st.integers(0, 9))
def test_the_order_holds_every_valid_individual_once_by_priced_score(lives, direction: str, order: int) -> None:
    alive = valid(lives, 1 if direction == "minimize" else -1)
    ranked = sorted(alive, key=lambda id: (alive[id][1] + 1e-3 * alive[id][0], alive[id][0], id))
    standings = build(lives, direction, order)
    assert standings.order() == ranked
    assert standings.valid == len(alive)
    assert sorted(id for ids in standings.cells().values() for id in ids) == sorted(alive)
    assert standings.elites() == [ids[0] for ids in standings.cells().values()]
    if ranked:
        assert ranked[0] in standings.front()
        assert ranked[0] in standings.elites()


@given(lives, directions)
def test_failures_stand_nowhere(lives, direction: str) -> None:
    standings = build(lives, direction)
    dead = {id for id, (_, scores) in enumerate(lives, start=1) if None in scores}
    shown = {*standings.order(), *standings.front(), *standings.elites(), *standings.simple(1e9)}
    assert not dead & shown
    assert standings.failed == len(dead)
    assert all(standings[id].mean is None and standings.priced(standings[id]) is None for id in dead)


@given(lives, directions, st.floats(0, 1))
def test_simple_is_within_reach_of_the_best_and_smallest_first(lives, direction: str, within: float) -> None:
    alive = valid(lives, 1 if direction == "minimize" else -1)
    found = build(lives, direction).simple(within)
    best = min((signed for _, signed in alive.values()), default=0.0)
    assert set(found) == {id for id, (_, signed) in alive.items() if signed <= best + within}
    assert [alive[id][0] for id in found] == sorted(alive[id][0] for id in found)


@given(lives, directions)
def test_the_peak_of_a_line_is_the_best_mean_in_it_however_often_asked(lives, direction: str) -> None:
    sign = 1 if direction == "minimize" else -1
    standings = Standings(Objective("x", direction), 1e-3, 2.0)  # type: ignore[arg-type]
    for id, (size, _) in enumerate(lives, start=1):
        standings.enter(id, size, (id - 1,) if id > 1 else ())
    for id, (_, scores) in enumerate(lives, start=1):
        for score in scores:
            standings.peak(len(lives))  # remembered, and to be forgotten when the next result changes it
            standings.result(id, score, None if score is not None else CRASH, verified=True, device="cpu")
    alive = valid(lives, sign)
    for id in range(1, len(lives) + 1):
        peak = standings.peak(id)
        line = [alive[other][1] for other in range(1, id + 1) if other in alive]
        assert (None if peak is None else sign * peak.mean) == min(line, default=None)


def test_a_deep_line_needs_no_deep_stack() -> None:
    depth = 20_000
    standings = Standings(Objective(), 0.0, 2.0)
    for id in range(1, depth + 1):
        standings.enter(id, 100, (id - 1,) if id > 1 else ())
    standings.result(1, 1.0, None, verified=True, device="cpu")
    peak = standings.peak(depth)
    assert peak is not None
    assert peak.id == 1
    assert len(standings.ancestors(depth)) == depth - 1


@given(st.lists(st.lists(st.floats(1, 2), min_size=1, max_size=5), min_size=1, max_size=8))
def test_sigma_is_the_spread_within_individuals_pooled(groups: list[list[float]]) -> None:
    noise = Noise()
    for individual, scores in enumerate(groups):
        for score in scores:
            noise.add(individual, "cpu", score)
            noise.add(individual, "other", 10 * score)
    freedom = sum(len(scores) - 1 for scores in groups)
    if freedom == 0:
        assert noise.sigma("cpu") is None
        return
    squares = sum((score - statistics.fmean(scores)) ** 2 for scores in groups for score in scores)
    assert noise.sigma("cpu") is not None
    assert abs(noise.sigma("cpu") - (squares / freedom) ** 0.5) < 1e-9
    assert abs(noise.sigma() - 10 * noise.sigma("cpu")) < 1e-7  # by default the device of the last score
