"""Which model writes the next offspring: by weight, or by what each has earned for its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

PRIOR_TRIALS = 5.0  # an untried model counts as if it had earned the common rate so many times
MEMORY = 0.98  # early gains are easy, so each credit fades what came before


@dataclass
class _Record:
    trials: float = 0.0
    gain: float = 0.0
    cost: float = 0.0


class Ensemble:
    """Names drawn by chance, each with a share that is never below a floor.

    With `choice="weights"` the shares are the weights. With `choice="bandit"` a share is its weight times the gain
    per cost of its name, both as credited, pulled towards the rate of all names together while it has few trials.
    The state is a function of the credits, so that a resumed search rebuilds it by crediting its history again.

    Args:
        models: names, or mappings with `name` and `weight`.
        choice: weights or bandit.
        floor: smallest share of a name in a bandit; a choice that never happens can never be corrected.

    Raises:
        ValueError: no name, a weight that is not above 0, a name given twice, or a floor that leaves no room.
    """

    def __init__(
        self,
        models: Sequence[str | Mapping[str, object]],
        choice: Literal["weights", "bandit"] = "weights",
        floor: float = 0.1,
    ) -> None:
        pairs = [(model, 1.0) if isinstance(model, str) else _pair(model) for model in models]
        self.weights = dict(pairs)
        if not pairs or len(self.weights) < len(pairs):
            raise ValueError(f"llm.models names each model once, and at least one; got {[name for name, _ in pairs]}")
        if choice not in ("weights", "bandit"):
            raise ValueError(f"llm.choice is weights or bandit; got {choice!r}")
        if not 0 <= floor * len(pairs) <= 1:
            raise ValueError(f"llm.floor times the number of models is between 0 and 1; got {floor} × {len(pairs)}")
        self._bandit = choice == "bandit"
        self._floor = floor
        self._records = {name: _Record() for name in self.weights}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.weights)

    def choose(self, rng: np.random.Generator) -> str:
        """Return a name drawn by the shares of this moment; takes exactly one number from `rng`."""
        shares = self.shares()
        edge = float(rng.random())
        for name, share in shares.items():
            edge -= share
            if edge < 0:
                return name
        return name  # rounding left a crumb behind the last name

    def shares(self) -> dict[str, float]:
        """Return each name's share; they sum to one."""
        merits = {name: weight * self._rate(name) if self._bandit else weight for name, weight in self.weights.items()}
        total = sum(merits.values())
        floor = self._floor if self._bandit else 0.0
        room = 1.0 - floor * len(merits)
        return {name: floor + room * merit / total for name, merit in merits.items()}

    def credit(self, name: str, gain: float, cost: float) -> None:
        """Note what came of one birth.

        Args:
            name: an unknown one, such as a model taken out of the config since, is left out.
            gain: improvement in priced score; a loss counts as 0.
            cost: money and slot time in one unit of the caller's choice; above 0 for what was tried.
        """
        if name not in self._records:
            return
        for record in self._records.values():
            record.trials *= MEMORY
            record.gain *= MEMORY
            record.cost *= MEMORY
        record = self._records[name]
        record.trials += 1
        record.gain += max(0.0, gain)
        record.cost += cost

    def _rate(self, name: str) -> float:
        records = self._records.values()
        trials = sum(record.trials for record in records)
        gain, cost = sum(record.gain for record in records), sum(record.cost for record in records)
        if gain <= 0 or cost <= 0:
            return 1.0  # nothing is known yet: the weights decide
        own, prior = self._records[name], PRIOR_TRIALS / trials
        return (own.gain + prior * gain) / (own.cost + prior * cost)


def _pair(model: Mapping[str, object]) -> tuple[str, float]:
    known = {"name", "weight"}
    if "name" not in model or not set(model) <= known:
        raise ValueError(f"a model is a name, or a mapping with name and weight; got {dict(model)}")
    weight = model.get("weight", 1.0)
    if not isinstance(weight, int | float) or weight <= 0:
        raise ValueError(f"the weight of a model is above 0; {model['name']} has {weight!r}")
    return str(model["name"]), float(weight)
