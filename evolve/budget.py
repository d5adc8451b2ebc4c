"""When a search has had enough."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What a run has used so far, over all its sessions.

    Attributes:
        evaluations: finished ones and those in flight.
        hours: wall time.
        usd: LLM calls, those in flight at their estimate.
        since_improvement: finished first evaluations since the champion last changed.
    """

    evaluations: int = 0
    hours: float = 0.0
    usd: float = 0.0
    since_improvement: int = 0


@dataclass(frozen=True)
class Budget:
    """Bounds of a run; None leaves one open, and at least one is set.

    Attributes:
        evaluations: runs of the evaluator, repeats and failures included.
        hours: wall time, summed over sessions when a run is resumed.
        usd: dollars for LLM calls.
        patience: stop after so many new individuals without a better champion.
    """

    evaluations: int | None = None
    hours: float | None = None
    usd: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        bounds = {name: getattr(self, name) for name in ("evaluations", "hours", "usd", "patience")}
        if all(bound is None for bound in bounds.values()):
            raise ValueError(
                "a search needs an end; set budget.evaluations, budget.hours, budget.usd or budget.patience"
            )
        for name, bound in bounds.items():
            if bound is not None and not bound > 0:
                raise ValueError(f"budget.{name} is above 0 or null; got {bound}")

    def exhausted(self, spent: Spent) -> str | None:
        """Return which bound is reached, in words, or None."""
        if self.evaluations is not None and spent.evaluations >= self.evaluations:
            return f"{self.evaluations} evaluations are done; raise budget.evaluations to go on"
        if self.hours is not None and spent.hours >= self.hours:
            return f"{self.hours:g} hours are over; raise budget.hours to go on"
        if self.usd is not None and spent.usd >= self.usd:
            return f"{self.usd:g} dollars are spent; raise budget.usd to go on"
        if self.patience is not None and spent.since_improvement >= self.patience:
            return f"no better champion in {self.patience} individuals; raise budget.patience to go on"
        return None

    def share(self, spent: Spent) -> float:
        """Return how much of the tightest bound is used, 0 to 1."""
        pairs = ((self.evaluations, spent.evaluations), (self.hours, spent.hours), (self.usd, spent.usd))
        return min(1.0, max((used / bound for bound, used in pairs if bound is not None), default=0.0))
