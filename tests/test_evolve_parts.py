"""Budget, schedule, mix and selection, each alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.budget import Budget, Spent
from evolve.mix import Mix, Share
from evolve.schedule import Schedule
from evolve.selection import FromSeed, Greedy, NonDominated, Tournament
from genome import Genome, Individual, Task
from tests.parts import Step, make_task


@dataclass
class Pool:
    task: Task
    everyone: list[Individual] = field(default_factory=list)

    def best(self, limit: int) -> list[Individual]:
        return sorted(self.everyone, key=lambda one: one.score or 0)[:limit]

    def elites(self) -> list[Individual]:
        return sorted(self.everyone, key=lambda one: one.genome.size)[:2]

    def seed(self) -> Individual:
        return self.everyone[0]


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    def individual(id: int) -> Individual:
        text = "x = 1\n" * (1 + id % 7)
        return Individual(id, Genome({"train.py": text}), "step", (), "", 1, (float(100 - id),))

    return Pool(make_task(tmp_path), [individual(id) for id in range(1, 41)])


@pytest.mark.parametrize("selection", [Tournament(8, 3, 0.2), NonDominated(8), Greedy()])
def test_parents_are_distinct_and_repeat_with_the_same_chance(pool: Pool, selection: Tournament) -> None:
    draws = [[p.id for p in selection.parents(pool, 2, np.random.default_rng(5))] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 2


def test_selection_leaves_the_global_generator_as_it_was(pool: Pool) -> None:
    before = random.getstate()
    Tournament(8, 3, 0.0).parents(pool, 2, np.random.default_rng(1))
    assert random.getstate() == before


def test_a_harder_tournament_prefers_the_better(pool: Pool) -> None:
    def mean_score(size: int) -> float:
        rng = np.random.default_rng(0)
        return float(np.mean([Tournament(16, size, 0.0).parents(pool, 1, rng)[0].score or 0 for _ in range(200)]))

    assert mean_score(6) < mean_score(2) < mean_score(1)


def test_elite_share_lets_elites_breed_that_are_not_in_the_population(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    elites = {one.id for one in pool.elites()}
    drawn = Counter(Tournament(4, 2, 0.5).parents(pool, 1, rng)[0].id in elites for _ in range(400))
    assert 150 < drawn[True] < 250


def test_non_dominated_prefers_what_nothing_beats_in_both(pool: Pool) -> None:
    rng = np.random.default_rng(0)
    drawn = [NonDominated(6).parents(pool, 1, rng)[0] for _ in range(100)]
    front = [a for a in pool.everyone if not any(_beats(b, a) for b in pool.everyone)]
    assert sum(one in front for one in drawn) > 80


def _beats(b: Individual, a: Individual) -> bool:
    assert a.score is not None
    assert b.score is not None
    no_worse = b.score <= a.score and b.genome.size <= a.genome.size
    return no_worse and (b.score < a.score or b.genome.size < a.genome.size)


def test_from_seed_never_inherits(pool: Pool) -> None:
    assert [one.id for one in FromSeed().parents(pool, 1, np.random.default_rng(0))] == [1]


def test_a_pool_of_one_gives_one_parent(pool: Pool) -> None:
    pool.everyone = pool.everyone[:1]
    assert len(Tournament(4, 2).parents(pool, 2, np.random.default_rng(0))) == 1


@pytest.mark.parametrize(
    ("spent", "word"),
    [
        (Spent(evaluations=5), "evaluations"),
        (Spent(hours=2), "hours"),
        (Spent(usd=3), "dollars"),
        (Spent(since_improvement=9), "no better"),
    ],
)
def test_each_bound_ends_a_search(spent: Spent, word: str) -> None:
    budget = Budget(evaluations=5, hours=2, usd=3, patience=9)
    assert word in (budget.exhausted(spent) or "")
    assert budget.exhausted(Spent()) is None


def test_a_budget_without_any_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an end"):
        Budget()


@given(slots=st.integers(1, 64), lookahead=st.integers(0, 5), data=st.data())
def test_births_due_fill_free_slots_and_the_lookahead_and_no_more(
    slots: int, lookahead: int, data: st.DataObject
) -> None:
    running = data.draw(st.integers(0, slots))
    ahead = data.draw(st.integers(0, slots * (lookahead + 1)))
    due = Schedule(lookahead).births_due(slots=slots, running=running, ahead=ahead, population=8, born=30)
    assert running + ahead + due == slots + lookahead * slots


@given(born=st.integers(0, 100), running=st.integers(0, 4), ahead=st.integers(0, 8))
def test_a_barrier_never_mixes_generations(born: int, running: int, ahead: int) -> None:
    due = Schedule(barrier=True).births_due(slots=4, running=running, ahead=ahead, population=8, born=born)
    if born % 8 == 0 and (running or ahead):
        assert due == 0
    else:
        assert due <= 8 - born % 8


def test_weights_decide_the_share_of_operators() -> None:
    frequent, rare, off = Step(), Step(), Step()
    mix = Mix({"frequent": Share(frequent, 9), "rare": Share(rare, 1), "off": Share(off, 0)})
    rng = np.random.default_rng(0)
    drawn = [mix.draw(rng, parents=1) for _ in range(1000)]
    assert 850 < sum(one is frequent for one in drawn) < 950
    assert not any(one is off for one in drawn)


def test_a_mix_without_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing could be born"):
        Mix({"step": Share(Step(), 0)})


def test_an_adaptive_mix_prefers_what_earns_and_lets_none_die() -> None:
    class Other(Step):
        name = "other"

    mix = Mix({"step": Share(Step(), 1), "other": Share(Other(), 1)}, adaptive=True)
    for _ in range(40):
        mix.credit("step", gain=0.01, cost=0.1)
        mix.credit("other", gain=0.0, cost=0.1)
    assert mix.shares()["step"] > 0.8
    assert mix.shares()["other"] >= 0.05


def test_a_mix_that_is_not_adaptive_keeps_its_weights() -> None:
    mix = Mix({"step": Share(Step(), 1)})
    mix.credit("step", 1.0, 1.0)
    assert mix.shares() == {"step": 1.0}
