"""Who becomes a parent. The only place that uses DEAP's operators."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from deap import base, tools

from genome import Individual, Task


class Pool(Protocol):
    """What selection may ask of the archive. Everyone in the answers is valid: has a score and no failure."""

    @property
    def task(self) -> Task: ...

    def best(self, limit: int) -> Sequence[Individual]: ...

    def elites(self) -> Sequence[Individual]: ...

    def seed(self) -> Individual: ...


class Selection(Protocol):
    def parents(self, pool: Pool, count: int, rng: np.random.Generator) -> list[Individual]:
        """Return `count` parents, distinct where the pool allows it; fewer when it holds fewer."""
        ...


class Tournament:
    """The best of `tournament_size` drawn from the `population_size` best by priced score.

    Args:
        population_size: how many of the best may breed.
        tournament_size: 1 is blind chance; larger presses harder towards the best.
        elite_share: chance that a parent comes from the elites of all sizes instead, so that small ones breed too.
    """

    def __init__(self, population_size: int = 16, tournament_size: int = 3, elite_share: float = 0.2) -> None:
        if population_size < 1 or tournament_size < 1:
            raise ValueError(
                f"population.size and tournament_size are 1 or more; got {population_size}, {tournament_size}"
            )
        if not 0 <= elite_share <= 1:
            raise ValueError(f"selection.elite_share is a share from 0 to 1; got {elite_share}")
        self.population_size = population_size
        self.tournament_size = tournament_size
        self.elite_share = elite_share

    def parents(self, pool: Pool, count: int, rng: np.random.Generator) -> list[Individual]:
        ranked = [_Ranked(individual, (-place,)) for place, individual in enumerate(pool.best(self.population_size))]
        chosen: list[Individual] = []
        while len(chosen) < min(count, len(ranked)):
            if rng.random() < self.elite_share:
                elites = pool.elites()
                candidate = elites[int(rng.integers(len(elites)))]
            else:
                with _global_chance(rng):
                    candidate = tools.selTournament(ranked, 1, self.tournament_size)[0].individual
            if candidate.id in {one.id for one in chosen}:
                others = [one.individual for one in ranked if one.individual.id not in {taken.id for taken in chosen}]
                candidate = others[int(rng.integers(len(others)))]
            chosen.append(candidate)
        return chosen


class NonDominated:
    """NSGA-II on score and size: parents by crowded tournament among the `population_size` least dominated.

    Args:
        population_size: how many survive environmental selection.
    """

    def __init__(self, population_size: int = 16) -> None:
        if population_size < 1:
            raise ValueError(f"population.size is 1 or more; got {population_size}")
        self.population_size = population_size

    def parents(self, pool: Pool, count: int, rng: np.random.Generator) -> list[Individual]:
        # the best by priced score and the elites of every size: all that NSGA-II could keep, without ranking thousands
        candidates = {one.id: one for one in (*pool.best(4 * self.population_size), *pool.elites())}.values()
        sign = pool.task.objective.sign
        ranked = [_Ranked(one, (-sign * one.score, -one.genome.size)) for one in candidates if one.score is not None]
        survivors = tools.selNSGA2(ranked, min(self.population_size, len(ranked)))
        chosen: list[_Ranked] = []
        while len(chosen) < min(count, len(survivors)):
            left = [one for one in survivors if one not in chosen]
            a, b = (left[int(i)] for i in rng.integers(len(left), size=2))
            a_wins = a.fitness.dominates(b.fitness) or (
                not b.fitness.dominates(a.fitness) and a.fitness.crowding_dist >= b.fitness.crowding_dist
            )
            chosen.append(a if a_wins else b)
        return [one.individual for one in chosen]


class Greedy:
    """Upstream's single line: always from the best so far, which is to keep or to revert."""

    def parents(self, pool: Pool, count: int, rng: np.random.Generator) -> list[Individual]:
        return list(pool.best(count))


class FromSeed:
    """The control without any inheritance: every offspring is an independent sample from the seed."""

    def parents(self, pool: Pool, count: int, rng: np.random.Generator) -> list[Individual]:
        return [pool.seed()][:count]


class _Ranked:
    """An individual as DEAP wants to see it: with a `fitness` whose larger values are better."""

    def __init__(self, individual: Individual, values: tuple[float, ...]) -> None:
        self.individual = individual
        self.fitness = _Larger1(values) if len(values) == 1 else _Larger2(values)


class _Larger1(base.Fitness):
    weights = (1.0,)


class _Larger2(base.Fitness):
    weights = (1.0, 1.0)


@contextmanager
def _global_chance(rng: np.random.Generator) -> Iterator[None]:
    """DEAP draws from the global `random`: seed it from this birth's generator, and leave it as it was found."""
    state = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(state)
