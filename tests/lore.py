"""A small Lore in memory, for tests of operators: a list of individuals and the queries over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genome import Evaluation, Failure, Genome, Individual, Objective, Offspring, Task


class MemoryLore:
    """Individuals by id, 1 being the seed; scores are given by whoever bears them."""

    def __init__(self, seed: Genome, direction: str = "minimize", score: float | None = 1.0) -> None:
        objective = Objective(direction=direction)  # type: ignore[arg-type]
        self.task = Task(name="test", brief_path=Path("program.md"), seed=seed, objective=objective)
        self.sigma: float | None = None
        self.price = 8e-6
        self._all: dict[int, Individual] = {}
        self._digests: set[str] = set()
        self.bear(Offspring(seed, "seed", (), "the seed"), score)

    def bear(self, offspring: Offspring, score: float | None = None, failure: Failure | None = None) -> Individual:
        """Keep an offspring as the next individual, with its score or failure."""
        individual = Individual(
            id=len(self._all) + 1,
            genome=offspring.genome,
            operator=offspring.operator,
            parents=offspring.parents,
            idea=offspring.idea,
            generation=len(self._all) // 16,
            scores=() if score is None else (score,),
            failure=failure,
            verified=True,
        )
        self._all[individual.id] = individual
        self._digests.add(offspring.genome.digest)
        return individual

    @property
    def count(self) -> int:
        """Individuals so far; their ids run from 1 to this."""
        return len(self._all)

    def seen(self, genome: Genome) -> bool:
        return genome.digest in self._digests

    def individual(self, id: int) -> Individual:
        return self._all[id]

    def evaluations(self, id: int) -> Sequence[Evaluation]:
        individual = self._all[id]
        if individual.failure is not None:
            return [Evaluation(None, individual.failure, seconds=0.0, seed=0, verified=True)]
        return [Evaluation(score, None, seconds=0.0, seed=0, verified=True) for score in individual.scores]

    def ancestors(self, id: int) -> Sequence[int]:
        found: set[int] = set()
        waiting = list(self._all[id].parents)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                found.add(parent)
                waiting.extend(self._all[parent].parents)
        return sorted(found, reverse=True)

    def ancestor(self, a: int, b: int) -> Individual | None:
        common = {a, *self.ancestors(a)} & {b, *self.ancestors(b)}
        return self._all[max(common)] if common else None

    def offspring(self, ids: Sequence[int]) -> Sequence[Individual]:
        wanted = set(ids)
        return [i for i in self._evaluated() if wanted & set(i.parents)]

    def recent(self, limit: int) -> Sequence[Individual]:
        return self._evaluated()[:limit]

    def best(self, limit: int) -> Sequence[Individual]:
        scored = [(i.score, i) for i in self._all.values() if i.score is not None]
        sign = self.task.objective.sign
        ranked = sorted(scored, key=lambda pair: (sign * pair[0] + self.price * pair[1].genome.size, pair[1].id))
        return [i for _, i in ranked[:limit]]

    def _evaluated(self) -> list[Individual]:
        return [i for _, i in sorted(self._all.items(), reverse=True) if i.scores or i.failure is not None]
