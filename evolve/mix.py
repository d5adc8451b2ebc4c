"""Which operator makes the next birth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genome import Asks, Operator


@dataclass(frozen=True)
class Share:
    """An operator with its weight in the mix."""

    operator: Operator
    weight: float


class Mix:
    """Operators drawn by weight.

    Args:
        shares: by name; weights need not sum to one, and 0 switches an operator off.

    Raises:
        ValueError: a weight is negative, or none is above 0.
    """

    def __init__(self, shares: Mapping[str, Share]) -> None:
        for name, share in shares.items():
            if share.weight < 0:
                raise ValueError(f"operators.mix.{name}.weight is 0 or more; got {share.weight}")
        self.shares = {name: share for name, share in shares.items() if share.weight > 0}
        if not self.shares:
            raise ValueError("operators.mix has no operator with a weight above 0; nothing could be born")

    def named(self, name: str) -> Operator | None:
        """Return the operator with this name, or None when it is not in the mix any more."""
        return next((share.operator for share in self.shares.values() if share.operator.name == name), None)

    def draw(self, rng: np.random.Generator, *, parents: int, mechanical: bool = False) -> Operator | None:
        """Return an operator for a pool of so many parents; None when no operator fits.

        Args:
            mechanical: leave out those that ask an LLM, because none answers now.
        """
        fitting = [
            share
            for share in self.shares.values()
            if share.operator.arity <= parents and not (mechanical and isinstance(share.operator, Asks))
        ]
        if not fitting:
            return None
        return _weighted(fitting, rng).operator


def _weighted(shares: Sequence[Share], rng: np.random.Generator) -> Share:
    weights = np.array([share.weight for share in shares])
    return shares[int(rng.choice(len(shares), p=weights / weights.sum()))]
