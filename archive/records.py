"""What is read from an archive, as data: the run, its settings, and individuals as tables and evaluations show them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from archive.errors import NoRun
from archive.store import Store
from archive.texts import unpack
from genome.genome import Genome
from genome.individual import Evaluation, Failure
from genome.task import Objective


@dataclass(frozen=True)
class Settings:
    """How the archive judges and sorts.

    Attributes:
        price: score that one added node must earn.
        z: how many standard errors a difference must exceed to count.
        cell_percent: width of a cell in percent of the seed's size.
        population_size: births in a generation.
    """

    price: float = 8e-6
    z: float = 2.0
    cell_percent: float = 2.0
    population_size: int = 16

    def __post_init__(self) -> None:
        if not (math.isfinite(self.price) and self.price >= 0):
            raise ValueError(f"price is the score a node must earn, 0 or more; got {self.price}")
        if not (math.isfinite(self.z) and self.z >= 0):
            raise ValueError(f"z is a number of standard errors, 0 or more; got {self.z}")
        if not 0.01 <= self.cell_percent <= 100:
            raise ValueError(f"cell_percent is a share of the seed's size from 0.01 to 100; got {self.cell_percent}")
        if self.population_size < 1:
            raise ValueError(f"population_size is at least 1; got {self.population_size}")


@dataclass(frozen=True)
class Run:
    """What a run was started with."""

    name: str
    task: str
    objective: Objective
    settings: Settings
    config: str
    seed_digest: str
    versions: dict[str, str]
    created: float


@dataclass(frozen=True)
class Entry:
    """An individual without its genome: one line of a table.

    Attributes:
        priced: score with its size paid for, lower is better; None like score.
        sd: spread of its own evaluations.
        verdict: seed, better, simpler, kept or failed, judged against `incumbent` when its result came; None before.
        words: the verdict's arithmetic.
    """

    id: int
    score: float | None
    size: int
    lines: int
    generation: int
    operator: str
    parents: tuple[int, ...]
    inspirations: tuple[int, ...]
    idea: str
    failure: str | None
    detail: str | None
    verified: bool
    n: int
    sd: float | None
    priced: float | None
    verdict: str | None
    words: str | None
    incumbent: int | None
    created: float


@dataclass(frozen=True)
class Trial:
    """An evaluation as it stands in the archive; `result` is None while it runs and when it was interrupted."""

    id: int
    purpose: str
    seed: int
    slot: int
    started: float
    ended: float | None
    interrupted: bool
    result: Evaluation | None


@dataclass(frozen=True)
class Cell:
    """An interval of sizes from `start` to below `end`, its valid individuals best first; the first is its elite."""

    number: int
    start: int
    end: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Conceived:
    """A birth that was begun and is neither borne nor abandoned."""

    id: int
    operator: str
    parents: tuple[int, ...]
    inspirations: tuple[int, ...]


@dataclass(frozen=True)
class Counts:
    """The run in numbers.

    Attributes:
        births: conceived so far, the seed included; also the number of the last one.
        abandoned: births that gave no offspring.
        individuals, valid, failed: borne; with a score; failed in an evaluation.
        evaluations: finished, whatever came of them. running: started and neither finished nor interrupted.
        generations: individuals borne in each generation.
    """

    births: int
    abandoned: int
    individuals: int
    valid: int
    failed: int
    evaluations: int
    running: int
    interrupted: int
    generations: Mapping[int, int]


TRIALS = (
    "SELECT id, purpose, seed, slot, started, ended, interrupted, finish, score, failure, detail, seconds, verified,"
    " device, metrics, log FROM evaluations"
)
ENTRIES = (
    "SELECT id, size, lines, generation, operator, inspirations, idea, verdict, words, incumbent, created"
    " FROM individuals"
)


def read_run(store: Store) -> Run:
    """Return what the run was started with.

    Raises:
        NoRun: a search was killed before it wrote it.
    """
    rows = store.rows(
        "SELECT name, task, objective, direction, settings, config, seed_digest, versions, created FROM runs"
    )
    if not rows:
        raise NoRun(f"{store.path} holds no run yet; its search is just starting, or ended before it began")
    name, task, objective, direction, settings, config, digest, versions, created = rows[0]
    known = Settings(**json.loads(settings))
    return Run(name, task, Objective(objective, direction), known, config, digest, json.loads(versions), created)


def parents_of(mother: int | None, father: int | None) -> tuple[int, ...]:
    """Return the parents that two columns hold: none, one or two."""
    return tuple(parent for parent in (mother, father) if parent is not None)


def stored_genome(files: dict[str, str], digest: str, size: int, lines: int) -> Genome:
    """Return a genome as it was born, with what was measured then: parsing it again would cost 10 ms."""
    genome = object.__new__(Genome)
    object.__setattr__(genome, "files", MappingProxyType(files))
    vars(genome).update(digest=digest, size=size, lines=lines)
    return genome


def trial(row: tuple[Any, ...]) -> Trial:
    """Return one row of TRIALS as it stands."""
    id, purpose, seed, slot, started, ended, interrupted, finish, *outcome = row
    result = None
    if finish is not None:
        score, kind, detail, seconds, verified, device, metrics, log = outcome
        failure = None if kind is None else Failure(kind, detail)
        result = Evaluation(score, failure, seconds, seed, bool(verified), device, json.loads(metrics), unpack(log))
    return Trial(id, purpose, seed, slot, started, ended, bool(interrupted), result)
