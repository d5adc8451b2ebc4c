"""Tune: one to three numbers of a program move on their own scales, by chance or by what relatives have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from genome.individual import Individual, Offspring
from genome.literals import Number, coordinate, from_coordinate, numbers, rewrite, step, write
from genome.operator import Lore, NoOffspring
from genome.task import Objective

TRIES = 24
HISTORY = 256  # evaluated individuals looked at, newest first
SPREAD = math.log(6.0)  # how far beyond the values seen TPE may look
LEAST = math.log(1.15)  # a smaller step is hardly another value
CHANGES = (0.6, 0.3, 0.1)  # share of births that move one, two, three numbers

Trial = tuple[dict[tuple[str, str, int], Number], float]


class Tune:
    """Mutation of one to three numeric literals: constants at the top, fields, keyword arguments and defaults.

    A share of the births steps at random (exploration); the others ask Optuna's TPE, once at least `min_history`
    scored relatives hold the chosen numbers and have tried more than one value of them.

    Args:
        tpe_share: share of births in which TPE proposes when it can.
        min_history: scored relatives that TPE needs.
    """

    name = "tune"
    arity = 1

    def __init__(self, tpe_share: float = 0.5, min_history: int = 12) -> None:
        if not 0 <= tpe_share <= 1:
            raise ValueError(f"tpe_share is a share of births from 0 to 1; got {tpe_share}")
        self.tpe_share = tpe_share
        self.min_history = min_history

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring:
        """Return an offspring that differs from its parent in one to three numbers and was never born before."""
        (parent,) = parents
        tunable = numbers(parent.genome)
        if not tunable:
            raise NoOffspring(f"#{parent.id} has no number to tune among constants and keyword arguments")
        asks_tpe = bool(rng.random() < self.tpe_share)
        trials = _trials(parent, lore) if asks_tpe else []
        for _ in range(TRIES):
            chosen = _choose(tunable, rng)
            texts = self._propose(chosen, trials, lore.task.objective, rng)
            changes = [(n, text) for n, text in zip(chosen, texts, strict=True) if text != n.written]
            if not changes:
                continue
            genome = rewrite(parent.genome, changes)
            if genome.digest != parent.genome.digest and not lore.seen(genome):
                return Offspring(genome, self.name, (parent.id,), _idea(changes))
        raise NoOffspring(f"all {TRIES} proposals for the numbers of #{parent.id} were born before")

    def _propose(
        self, chosen: list[Number], trials: list[Trial], objective: Objective, rng: np.random.Generator
    ) -> list[str]:
        shared = [(values, score) for values, score in trials if all(n.key in values for n in chosen)]
        varied = [n for n in chosen if len({values[n.key].value for values, _ in shared}) > 1]
        if len(shared) < self.min_history or not varied or any(n.kind == "zero" for n in chosen):
            return [step(n, rng) for n in chosen]
        asked = _ask_tpe(chosen, shared, objective, int(rng.integers(2**31)))
        return [_or_step(n, value, rng) for n, value in zip(chosen, asked, strict=True)]


def _choose(tunable: list[Number], rng: np.random.Generator) -> list[Number]:
    count = min(len(tunable), int(rng.choice(3, p=CHANGES)) + 1)
    weights = np.array([n.weight for n in tunable])
    picked = rng.choice(len(tunable), size=count, replace=False, p=weights / weights.sum())
    return [tunable[i] for i in sorted(picked.tolist())]


def _trials(parent: Individual, lore: Lore) -> list[Trial]:
    """Return the numbers and the score of each scored relative, oldest first."""
    relatives = {individual.id: individual for individual in lore.recent(HISTORY)}
    family = [parent.id, *lore.ancestors(parent.id)]
    relatives.update((i, lore.individual(i)) for i in family if i not in relatives)
    relatives.update((child.id, child) for child in lore.offspring(family))
    newest = sorted(relatives, reverse=True)[:HISTORY]
    return [
        ({n.key: n for n in numbers(relatives[i].genome)}, score)
        for i in reversed(newest)
        if (score := relatives[i].score) is not None
    ]


def _or_step(number: Number, value: float, rng: np.random.Generator) -> str:
    """Return the value TPE proposes, or a step of chance where it proposes nearly what stands there."""
    near = abs(coordinate(number, value) - coordinate(number, number.value)) < LEAST
    return step(number, rng) if near else write(number, value)


def _ask_tpe(chosen: list[Number], trials: list[Trial], objective: Objective, seed: int) -> list[float]:
    import optuna  # a quarter of a second, and only searches with history need it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space: dict[str, optuna.distributions.BaseDistribution] = {}
    rows = []
    for i, n in enumerate(chosen):
        seen = [coordinate(n, n.value), *(coordinate(n, values[n.key].value) for values, _ in trials)]
        space[f"n{i}"] = optuna.distributions.FloatDistribution(min(seen) - SPREAD, max(seen) + SPREAD)
    for values, score in trials:
        rows.append(({f"n{i}": coordinate(n, values[n.key].value) for i, n in enumerate(chosen)}, score))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True)
    study = optuna.create_study(direction=objective.direction, sampler=sampler)
    study.add_trials([optuna.trial.create_trial(params=p, distributions=space, value=s) for p, s in rows])
    asked = study.ask(space).params
    return [from_coordinate(n, asked[f"n{i}"]) for i, n in enumerate(chosen)]


def _idea(changes: list[tuple[Number, str]]) -> str:
    return "; ".join(f"{number.name} {number.written} → {text}" for number, text in changes)
