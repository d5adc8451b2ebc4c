"""How far breeding runs ahead of evaluation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Steady-state by default: a result is followed by a birth at once, and no slot waits for a generation to end.

    Attributes:
        lookahead: births in progress and offspring waiting for a slot, per slot. 0 breeds only for a free slot, so that
            every birth knows every result; a slow LLM wants 1 + birth time / evaluation time.
        barrier: breed a whole generation, then wait until all of it is evaluated (the generational scheme).
    """

    lookahead: int = 2
    barrier: bool = False

    def __post_init__(self) -> None:
        if self.lookahead < 0:
            raise ValueError(f"schedule.lookahead is 0 or more; got {self.lookahead}")

    def births_due(self, *, slots: int, running: int, ahead: int, population: int, born: int) -> int:
        """Return how many births may begin now.

        Args:
            slots: rooms for an evaluation.
            running: evaluations in progress.
            ahead: births in progress and offspring waiting for a slot.
            population: births of one generation.
            born: offspring born since the seed.
        """
        if self.barrier:
            left = population - born % population - ahead if born % population else population
            return left if born % population or not (running or ahead) else 0
        return slots - running + self.lookahead * slots - ahead
