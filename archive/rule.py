"""Deletion is a win, as arithmetic: whether a challenger replaces an incumbent, and the reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from genome.task import Objective

Kind = Literal["better", "simpler", "kept"]


@dataclass(frozen=True)
class Evidence:
    """What is known of a valid individual: its size, and the mean score of its `n` evaluations."""

    id: int
    size: int
    mean: float
    n: int


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a challenger: better and simpler replace the incumbent, kept only stays in the archive."""

    kind: Kind
    words: str

    @property
    def replaces(self) -> bool:
        return self.kind != "kept"


@dataclass(frozen=True)
class Rule:
    """The rule with its constants.

    Attributes:
        price: score that one added node must earn.
        z: how many standard errors a difference must exceed to be more than noise.
        sigma: spread of one evaluation in the score's unit; None while nothing was run twice, then there is no band.
    """

    objective: Objective
    price: float
    z: float
    sigma: float | None

    def band(self, a: Evidence, b: Evidence) -> float:
        """Return the difference of two means that noise alone explains."""
        return self.z * (self.sigma or 0.0) * math.sqrt(1 / a.n + 1 / b.n)

    def judge(self, challenger: Evidence, incumbent: Evidence, peak: Evidence | None = None) -> Verdict:
        """Return whether the challenger is better or simpler than the incumbent, with the arithmetic.

        Better: it gains more than the band and the price of its added nodes. Simpler: it is smaller, and neither worse
        than the incumbent nor than `peak`, the best of its lineage, beyond the band; so a chain of deletions, each
        within the band of the one before, cannot wear the score away.
        """
        added = challenger.size - incumbent.size
        gain = self.objective.gain(challenger.mean, incumbent.mean)
        band = self.band(challenger, incumbent)
        toll = self.price * max(0, added)
        if gain > band + toll:
            return self._verdict("better", challenger, incumbent, f"beyond {self._margin(band, toll)}")
        if added < 0 and -gain <= band:
            if peak is None or self._holds(challenger, peak):
                return self._verdict("simpler", challenger, incumbent, f"within {self._margin(band)}")
            lost = self._change(challenger.mean - peak.mean)
            against = f"but {lost} against #{peak.id}, the best of its lineage, beyond"
            reason = f"within {self._margin(band)} {against} {self._margin(self.band(challenger, peak))}"
            return self._verdict("kept", challenger, incumbent, reason)
        if gain > band:
            return self._verdict("kept", challenger, incumbent, f"not beyond {self._margin(band, toll)}")
        where = "within" if abs(gain) <= band else "beyond"
        return self._verdict("kept", challenger, incumbent, f"{where} {self._margin(band)}")

    def _holds(self, challenger: Evidence, peak: Evidence) -> bool:
        return -self.objective.gain(challenger.mean, peak.mean) <= self.band(challenger, peak)

    def _verdict(self, kind: Kind, challenger: Evidence, incumbent: Evidence, reason: str) -> Verdict:
        added = challenger.size - incumbent.size
        nodes = f"{_signed(f'{added:+d}') if added else '±0'} node{'' if abs(added) == 1 else 's'}"
        change = self._change(challenger.mean - incumbent.mean)
        return Verdict(kind, f"{nodes}, {change}, {reason}: {'kept out' if kind == 'kept' else kind}")

    def _change(self, delta: float) -> str:
        amount = f"{delta:+.{_decimals(delta)}f}" if delta else "±0"
        return f"{_signed(amount)} {self.objective.name.removeprefix('val_')}"

    def _margin(self, band: float, toll: float = 0.0) -> str:
        noise = "±0 (σ not known yet)" if self.sigma is None else f"±{band:.{_decimals(band)}f}"
        return noise + (f" and the {toll:.{_decimals(toll)}f} that its nodes cost" if toll else "")


def _signed(number: str) -> str:
    return number.replace("-", "−")


def _decimals(value: float) -> int:
    """Return four decimals, or as many as show two digits of a smaller value."""
    return 4 if abs(value) >= 0.0005 or value == 0 else min(12, 1 - math.floor(math.log10(abs(value))))
