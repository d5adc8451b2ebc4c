"""An individual's life as data: born as Offspring, run as Evaluations, ended by a Failure or kept with a score."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from genome.genome import Genome


@dataclass(frozen=True)
class Failure:
    """Why no score came.

    Attributes:
        kind: crash, timeout, oom, non_finite, peeks_ahead, over_budget, tampered or refused; a task may add its own.
        detail: one line that a person understands; text from a candidate in it is untrusted.
    """

    kind: str
    detail: str


@dataclass(frozen=True)
class Evaluation:
    """One run of one genome: a score or a failure, never both, never neither.

    Attributes:
        score: the task's metric in its own direction, or None.
        failure: why there is no score, or None.
        seconds: wall time of the whole evaluation.
        seed: the random seed that the harness gave the run.
        verified: the score was measured by the evaluator, not read from the program's output.
        device: model of the device it ran on; σ is kept for each.
        metrics: numbers beside the score, such as steps, tokens, peak_memory_mb.
        log: what the run printed, capped; untrusted.
    """

    score: float | None
    failure: Failure | None
    seconds: float
    seed: int
    verified: bool
    device: str = "cpu"
    metrics: Mapping[str, float] = field(default_factory=dict)
    log: str = ""

    def __post_init__(self) -> None:
        if (self.score is None) == (self.failure is None):
            raise ValueError(f"an evaluation has a score or a failure; got {self.score!r} and {self.failure!r}")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"a score is finite; {self.score!r} is a Failure of kind non_finite")


@dataclass(frozen=True)
class Offspring:
    """A genome just born and not yet evaluated.

    Attributes:
        parents: ids of the individuals that it inherits from: none for a seed, one for mutation, two for crossover.
        idea: the stated hypothesis in one line; untrusted where an LLM wrote it.
        inspirations: ids shown to the LLM but not inherited from.
    """

    genome: Genome
    operator: str
    parents: tuple[int, ...]
    idea: str
    inspirations: tuple[int, ...] = ()


@dataclass(frozen=True)
class Individual:
    """A genome with its birth and its results so far.

    Attributes:
        id: its number in the run, in order of birth; parents have smaller ids.
        generation: 0 for seeds, then counted in `population.size` births.
        scores: the score of each evaluation that gave one.
        failure: set when any of its evaluations failed; then it has no score.
    """

    id: int
    genome: Genome
    operator: str
    parents: tuple[int, ...]
    idea: str
    generation: int
    scores: tuple[float, ...] = ()
    failure: Failure | None = None
    verified: bool = False
    inspirations: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Evaluations that gave a score."""
        return len(self.scores)

    @property
    def score(self) -> float | None:
        """Mean over its evaluations, or None while it has none or when it failed."""
        return statistics.fmean(self.scores) if self.scores and self.failure is None else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over its evaluations, or None for fewer than two."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None
