"""What can be asked of an archive, by the engine that writes it and by anybody who reads along."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from archive.cells import cell_start
from archive.errors import NoIndividual
from archive.records import (
    ENTRIES,
    TRIALS,
    Cell,
    Entry,
    Settings,
    Trial,
    parents_of,
    read_run,
    stored_genome,
    trial,
)
from archive.rule import Rule
from archive.standings import Standings
from archive.store import Store
from archive.texts import split_files, unpack
from genome.genome import Genome
from genome.individual import Evaluation, Failure, Individual
from genome.task import Objective

CACHED_INDIVIDUALS = 1_024


class View:
    """All that can be asked of a run; answers are as of the moment it was opened, unless it is the one that writes."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.run = read_run(store)
        self._cache: OrderedDict[int, Individual] = OrderedDict()
        self._seed_text: str | None = None
        self._standings = self._stand()

    @property
    def standings(self) -> Standings:
        return self._standings

    @property
    def settings(self) -> Settings:
        return self.run.settings

    @property
    def objective(self) -> Objective:
        return self.run.objective

    @property
    def price(self) -> float:
        """Score that one syntax node must earn."""
        return self.settings.price

    @property
    def sigma(self) -> float | None:
        """Spread of one evaluation on the device that gave the last score; None while nothing was run twice."""
        return self._standings.sigma()

    @property
    def rule(self) -> Rule:
        """The rule with this run's constants and its present σ."""
        return Rule(self.objective, self.price, self.settings.z, self.sigma)

    def individual(self, id: int) -> Individual:
        """Return one individual with its genome.

        Raises:
            NoIndividual: there is none of this number.
        """
        held = self._cache.get(id)
        if held is None:
            held = self._cache[id] = self._load(id)
            if len(self._cache) > CACHED_INDIVIDUALS:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(id)
        return held

    def individuals(self, ids: Iterable[int]) -> list[Individual]:
        return [self.individual(id) for id in ids]

    def seen(self, genome: Genome) -> bool:
        """Whether an equal genome (by digest) was born before."""
        return self.twin(genome) is not None

    def twin(self, genome: Genome) -> int | None:
        """Return the oldest individual with an equal genome, None where there is none."""
        return self.store.value("SELECT min(id) FROM individuals WHERE digest = ?", genome.digest)

    def tried(self, operator: str, parents: Sequence[int]) -> bool:
        """Whether a birth by this operator from just these parents was ever begun, whatever came of it."""
        found = self.store.value(
            "SELECT EXISTS (SELECT 1 FROM births WHERE operator = ? AND parents = ?)",
            operator,
            json.dumps(list(parents)),
        )
        return bool(found)

    def seed(self) -> Individual:
        return self.individual(1)

    def best(self, limit: int) -> list[Individual]:
        """Return the best individuals by priced score, best first."""
        return self.individuals(self._standings.best(limit))

    def champion(self) -> Individual | None:
        """Return the best by priced score, None while nothing has a score."""
        best = self.best(1)
        return best[0] if best else None

    def elites(self) -> list[Individual]:
        """Return the best of each cell, smallest cell first."""
        return self.individuals(self._standings.elites())

    def front(self) -> list[Individual]:
        """Return those that no other beats in both score and size, smallest first."""
        return self.individuals(self._standings.front())

    def simple(self, within: float | None = None) -> list[int]:
        """Return ids of those at most `within` (default z·σ) worse than the best score, smallest first."""
        return self._standings.simple(self.settings.z * (self.sigma or 0.0) if within is None else within)

    def cells(self) -> list[Cell]:
        """Return the occupied cells, smallest first."""
        seed_size, percent = self._standings.seed_size, self.settings.cell_percent
        return [
            Cell(number, cell_start(number, seed_size, percent), cell_start(number + 1, seed_size, percent), tuple(ids))
            for number, ids in self._standings.cells().items()
        ]

    def ancestors(self, id: int) -> list[int]:
        """Return ids of all ancestors, newest first, without the individual itself."""
        self._known(id)
        return sorted(self._standings.ancestors(id), reverse=True)

    def ancestor(self, a: int, b: int) -> Individual | None:
        """Return the nearest common ancestor of two individuals; one of them where it is the other's ancestor."""
        self._known(a)
        self._known(b)
        shared = (self._standings.ancestors(a) | {a}) & (self._standings.ancestors(b) | {b})
        return self.individual(max(shared)) if shared else None

    def offspring(self, ids: Sequence[int]) -> list[Individual]:
        """Return the evaluated children of these individuals, newest first."""
        marks = ",".join("?" * len(ids))
        born = self.store.rows(
            f"SELECT id FROM individuals WHERE mother IN ({marks}) UNION "
            f"SELECT id FROM individuals WHERE father IN ({marks}) ORDER BY id DESC",
            *ids,
            *ids,
        )
        return self.individuals(id for (id,) in born if self._standings[id].judged)

    def recent(self, limit: int) -> list[Individual]:
        """Return the individuals whose first result came last, newest first, failed ones included."""
        found = self.store.rows(
            "SELECT individual FROM evaluations WHERE finish IS NOT NULL AND purpose = 'first'"
            " ORDER BY finish DESC LIMIT ?",
            limit,
        )
        return self.individuals(id for (id,) in found)

    def entries(self, ids: Sequence[int] | None = None) -> list[Entry]:
        """Return individuals without their genomes, in the order asked for; by default all in order of birth."""
        if ids is None:
            return [self._entry(row) for row in self.store.rows(f"{ENTRIES} ORDER BY id")]
        found = {}
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            for row in self.store.rows(f"{ENTRIES} WHERE id IN ({','.join('?' * len(part))})", *part):
                found[row[0]] = self._entry(row)
        return [found[id] if id in found else self._unknown(id) for id in ids]

    def entry(self, id: int) -> Entry:
        return self.entries([id])[0]

    def trials(self, individual: int) -> list[Trial]:
        """Return every evaluation of an individual in order, running and interrupted ones too."""
        return [trial(row) for row in self.store.rows(f"{TRIALS} WHERE individual = ? ORDER BY id", individual)]

    def evaluations(self, id: int) -> list[Evaluation]:
        """Return the finished evaluations of an individual, oldest first, with what they printed."""
        self._known(id)
        rows = self.store.rows(f"{TRIALS} WHERE individual = ? AND finish IS NOT NULL ORDER BY finish", id)
        return [result for row in rows if (result := trial(row).result) is not None]

    def first_trial(self, individual: int) -> Trial:
        """Return the evaluation of an individual that finished first."""
        where = "WHERE individual = ? AND finish IS NOT NULL ORDER BY finish LIMIT 1"
        rows = self.store.rows(f"{TRIALS} {where}", individual)
        if not rows:
            raise NoIndividual(f"individual {individual} in run {self.run.name} has no result yet")
        return trial(rows[0])

    def abandoned(self) -> list[tuple[int, str, str]]:
        """Return the births that gave no offspring: id, operator and the reason."""
        return self.store.rows("SELECT id, operator, abandoned FROM births WHERE abandoned IS NOT NULL ORDER BY id")

    def events(self) -> list[tuple[float, str, str]]:
        """Return what happened to the run: time, kind and text, in order."""
        return self.store.rows("SELECT time, kind, text FROM events ORDER BY id")

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _known(self, id: int) -> None:
        if id not in self._standings:
            self._unknown(id)

    def _unknown(self, id: int) -> Entry:
        raise NoIndividual(f"no individual {id} in run {self.run.name}; its births end at {self._last_birth()}")

    def _last_birth(self) -> int:
        return int(self.store.value("SELECT coalesce(max(id), 0) FROM births"))

    def _stand(self) -> Standings:
        standings = Standings(self.objective, self.price, self.settings.cell_percent)
        for id, size, mother, father in self.store.rows("SELECT id, size, mother, father FROM individuals ORDER BY id"):
            standings.enter(id, size, parents_of(mother, father))
        results = self.store.rows(
            "SELECT individual, score, failure, detail, verified, device FROM evaluations"
            " WHERE finish IS NOT NULL ORDER BY finish"
        )
        for id, score, kind, detail, verified, device in results:
            failure = None if kind is None else Failure(kind, detail)
            standings.result(id, score, failure, verified=bool(verified), device=device)
        return standings

    def _load(self, id: int) -> Individual:
        rows = self.store.rows(
            "SELECT operator, inspirations, idea, generation, digest, size, lines, genome FROM individuals"
            " WHERE id = ?",
            id,
        )
        if not rows:
            self._unknown(id)
        operator, inspirations, idea, generation, digest, size, lines, packed = rows[0]
        text = unpack(packed, "" if id == 1 else self.seed_text)
        standing = self._standings[id]
        return Individual(
            id=id,
            genome=stored_genome(split_files(text), digest, size, lines),
            operator=operator,
            parents=standing.parents,
            idea=idea,
            generation=generation,
            scores=tuple(standing.scores),
            failure=standing.failure,
            verified=standing.judged and standing.verified,
            inspirations=tuple(json.loads(inspirations)),
        )

    @property
    def seed_text(self) -> str:
        """The seed's files as one text, which all other genomes are packed against."""
        if self._seed_text is None:
            self._seed_text = unpack(self.store.value("SELECT genome FROM individuals WHERE id = 1"))
        return self._seed_text

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        id, size, lines, generation, operator, inspirations, idea, verdict, words, incumbent, created = row
        standing = self._standings[id]
        failure = standing.failure
        return Entry(
            id=id,
            score=standing.mean,
            size=size,
            lines=lines,
            generation=generation,
            operator=operator,
            parents=standing.parents,
            inspirations=tuple(json.loads(inspirations)),
            idea=idea,
            failure=failure.kind if failure else None,
            detail=failure.detail if failure else None,
            verified=standing.judged and standing.verified,
            n=len(standing.scores),
            sd=standing.sd,
            priced=self._standings.priced(standing),
            verdict=verdict,
            words=words,
            incumbent=incumbent,
            created=created,
        )
