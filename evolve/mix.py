"""Which operator makes the next birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genome import Operator
from llm_mutator.ensemble import Ensemble


@dataclass(frozen=True)
class Share:
    """An operator with its weight in the mix."""

    operator: Operator
    weight: float


class Mix:
    """Operators drawn by weight, or by what each has earned for its cost.

    Args:
        shares: by name; weights need not sum to one, and 0 switches an operator off.
        adaptive: a bandit multiplies each weight by the gain per cost of its operator, as credited.
        floor: smallest share of an operator while adaptive, so that none dies.

    Raises:
        ValueError: a weight is negative, or none is above 0.
    """

    def __init__(self, shares: Mapping[str, Share], adaptive: bool = False, floor: float = 0.05) -> None:
        for name, share in shares.items():
            if share.weight < 0:
                raise ValueError(f"operators.mix.{name}.weight is 0 or more; got {share.weight}")
        self._operators = {name: share.operator for name, share in shares.items() if share.weight > 0}
        if not self._operators:
            raise ValueError("operators.mix has no operator with a weight above 0; nothing could be born")
        weighted = [{"name": name, "weight": shares[name].weight} for name in self._operators]
        self._odds = Ensemble(weighted, "bandit" if adaptive else "weights", min(floor, 1 / len(weighted)))

    def named(self, name: str) -> Operator | None:
        """Return the operator with this name, or None when it is not in the mix any more."""
        return next((operator for operator in self._operators.values() if operator.name == name), None)

    def credit(self, operator: str, gain: float, cost: float) -> None:
        """Note what a birth of this operator gained in priced score, and what it cost in dollars."""
        for name, known in self._operators.items():
            if known.name == operator:
                self._odds.credit(name, gain, cost)

    def shares(self) -> dict[str, float]:
        """Return each operator's share of the births; they sum to one."""
        return self._odds.shares()

    def close(self) -> None:
        """Call off what operators wait for: an outside agent is ended."""
        for operator in self._operators.values():
            close = getattr(operator, "close", None)
            if close is not None:
                close()

    def draw(self, rng: np.random.Generator, *, parents: int) -> Operator | None:
        """Return an operator for a pool of so many parents; None when no operator fits."""
        fitting = {name: share for name, share in self.shares().items() if self._operators[name].arity <= parents}
        if not fitting:
            return None
        odds = np.array(list(fitting.values()))
        return self._operators[list(fitting)[int(rng.choice(len(odds), p=odds / odds.sum()))]]
