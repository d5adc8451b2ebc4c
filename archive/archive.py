"""The archive: every birth and every result of a run, written before time or money is spent, by one writer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import time

from archive import rows
from archive.calls import Ledger
from archive.errors import CannotWrite, DamagedArchive
from archive.lineage import Lineage, deeds
from archive.lock import RunLock
from archive.records import Conceived, Counts, Settings
from archive.store import DATABASE, Store
from archive.texts import DETAIL_CHARS, one_line
from archive.view import View
from genome.individual import Evaluation, Individual, Offspring
from genome.operator import Call, Reply
from genome.task import Task

BATCH = 64  # commits that wait at most until they are written together


class Archive(View):
    """A run's archive, open for writing. Use it from one thread, and make it with `Archive.open`."""

    def __init__(self, folder: Path, store: Store, task: Task, lineage: Lineage, lock: RunLock) -> None:
        super().__init__(folder, store)
        self.task = task
        self._ledger = Ledger(store)
        self._lineage = lineage
        self._lock = lock
        self._births = int(store.value("SELECT count(*) FROM births"))
        self._abandoned = int(store.value("SELECT count(*) FROM births WHERE abandoned IS NOT NULL"))
        self._finished = int(store.value("SELECT coalesce(max(finish), 0) FROM evaluations"))
        self._interrupted = int(store.value("SELECT count(*) FROM evaluations WHERE interrupted"))
        self._generations = Counter(
            dict(store.rows("SELECT generation, count(*) FROM individuals GROUP BY generation"))
        )
        self._running: dict[int, int] = {}
        self._waiting = {standing.id for standing in self._standings if not standing.judged}
        self._pending = self._uncommitted()
        self.flush()

    @classmethod
    def open(cls, folder: str | Path, task: Task, settings: Settings | None = None, config: str = "") -> Archive:
        """Create a run's archive or go on with it.

        The seed is borne at once, as birth 1. Evaluations that a kill interrupted are marked so, and the lineage is
        repaired from the database.

        Raises:
            RunInUse, NewerSchema, OtherTask, CannotWrite, DamagedArchive: one clear line each.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot make {folder}: {error.strerror}; choose a folder that you can write") from error
        with ExitStack() as undo:
            lock = RunLock(folder)
            undo.callback(lock.release)
            store = Store.writing(folder / DATABASE)
            undo.callback(store.close)
            rows.begin_run(store, folder.resolve().name, task, settings or Settings(), config)
            lineage = Lineage(folder / "lineage.git", task.objective.name)
            undo.callback(lineage.close)
            archive = cls(folder, store, task, lineage, lock)
            undo.pop_all()
        return archive

    def conceive(self, operator: str, parents: Sequence[int], inspirations: Sequence[int] = ()) -> int:
        """Note a birth before anything is paid for it; returns its number, which its individual will bear."""
        with self.store.transaction() as connection:
            birth = rows.begin_birth(connection, operator, parents, inspirations)
        self._births += 1
        return birth

    def bear(self, birth: int, offspring: Offspring) -> Individual:
        """Store what a birth gave.

        Raises:
            ValueError: the birth is not open, or a parent is no individual of this run.
        """
        parents = offspring.parents
        if len(parents) > 2 or any(parent not in self._standings for parent in parents):
            raise ValueError(f"an individual has at most two parents, individuals of its run; got {parents}")
        generation = (birth - 2) // self.settings.population_size + 1
        with self.store.transaction() as connection:
            rows.check_open(connection, birth)
            rows.bear(connection, birth, offspring, generation, self.seed_text)
        self._standings.enter(birth, offspring.genome.size, parents)
        self._waiting.add(birth)
        self._generations[generation] += 1
        return self.individual(birth)

    def abandon(self, birth: int, reason: str) -> None:
        """Note that a birth gave no offspring, and why.

        Raises:
            ValueError: the birth is not open.
        """
        reason = one_line(reason, DETAIL_CHARS) or "no reason given"
        with self.store.transaction() as connection:
            rows.check_open(connection, birth)
            connection.execute("UPDATE births SET abandoned = ? WHERE id = ?", (reason, birth))
        self._abandoned += 1

    def open_births(self) -> list[Conceived]:
        """Return the births that were begun and not ended, as a kill leaves them."""
        found = self.store.rows(
            "SELECT id, operator, parents, inspirations FROM births WHERE abandoned IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM individuals WHERE individuals.id = births.id) ORDER BY id"
        )
        return [
            Conceived(id, operator, tuple(json.loads(parents)), tuple(json.loads(inspirations)))
            for id, operator, parents, inspirations in found
        ]

    def waiting(self) -> list[Individual]:
        """Return the individuals that have no result and no evaluation running, in order of birth."""
        return self.individuals(sorted(self._waiting))

    def start_evaluation(self, individual: int, seed: int, slot: int, purpose: str = "first") -> int:
        """Note an evaluation before it runs; returns its number. Purposes: first, repeat, confirm, control."""
        self._known(individual)
        with self.store.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO evaluations (individual, purpose, seed, slot, started) VALUES (?, ?, ?, ?, ?)",
                (individual, purpose, seed, slot, time()),
            )
        evaluation = int(cursor.lastrowid or 0)
        self._running[evaluation] = individual
        self._waiting.discard(individual)
        return evaluation

    def finish_evaluation(self, evaluation: int, result: Evaluation) -> Individual:
        """Store a result the moment it arrives, and with it the rule's verdict.

        Raises:
            ValueError: the evaluation is not running.
        """
        id = self._individual_of(evaluation)
        first = not self._standings[id].judged
        failure = rows.told(result.failure)
        with self._in_step(), self.store.transaction() as connection:
            self._standings.result(id, result.score, failure, verified=result.verified, device=result.device)
            rows.finish(connection, evaluation, result, failure, self._finished + 1)
            verdict = self._verdict(id)
            connection.execute(
                "UPDATE individuals SET verdict = ?, words = ?, incumbent = ? WHERE id = ?", (*verdict, id)
            )
        del self._running[evaluation]
        self._cache.pop(id, None)
        self._finished += 1
        if first:
            self._pending.append(id)
            if len(self._pending) >= BATCH:
                self.flush()
        return self.individual(id)

    def interrupt_evaluation(self, evaluation: int) -> None:
        """Note that an evaluation ended without a result, which says nothing about its individual.

        Raises:
            ValueError: the evaluation is not running.
        """
        id = self._individual_of(evaluation)
        with self.store.transaction() as connection:
            connection.execute("UPDATE evaluations SET interrupted = 1, ended = ? WHERE id = ?", (time(), evaluation))
        del self._running[evaluation]
        self._interrupted += 1
        if not self._standings[id].judged and id not in self._running.values():
            self._waiting.add(id)

    def start_call(self, birth: int, call: Call) -> int:
        """Note a call of an LLM before it is paid; returns its number."""
        return self._ledger.start(birth, call)

    def finish_call(self, call: int, reply: Reply) -> None:
        """Store what came back for a call, an error too."""
        self._ledger.finish(call, reply)

    def replies_of(self, birth: int) -> list[Reply]:
        """Return the stored replies of a birth in the order of its calls; calls whose reply never came are left out."""
        return self._ledger.replies(birth)

    def spent_usd(self) -> float:
        """Return what all stored replies cost."""
        return self._ledger.spent_usd

    def counts(self) -> Counts:
        """Return the run in numbers, from memory."""
        return Counts(
            births=self._births,
            abandoned=self._abandoned,
            individuals=len(self._standings),
            valid=self._standings.valid,
            failed=self._standings.failed,
            evaluations=self._finished,
            running=len(self._running),
            interrupted=self._interrupted,
            generations=dict(self._generations),
        )

    def event(self, kind: str, text: str) -> None:
        """Note something that happened to the run."""
        with self.store.transaction() as connection:
            rows.note(connection, kind, text)

    def flush(self) -> None:
        """Commit to git what has its first result; called when 64 wait, and welcome whenever there is time."""
        ready: list[int] = []
        known: set[int] = set()
        for id in sorted(self._pending):
            if all(parent in known or parent in self._lineage.ids for parent in self._standings[id].parents):
                ready.append(id)
                known.add(id)
        for start in range(0, len(ready), BATCH):
            self._lineage.add(deeds(self, ready[start : start + BATCH]))
        self._pending = [id for id in self._pending if id not in self._lineage.ids]

    def close(self) -> None:
        """Commit what waits and let go of everything; may be called twice."""
        with ExitStack() as last:
            last.callback(self._lock.release)
            last.callback(self.store.close)
            last.callback(self._lineage.close)
            if self._lock.held:
                self.flush()

    def _individual_of(self, evaluation: int) -> int:
        if evaluation not in self._running:
            raise ValueError(f"evaluation {evaluation} is not running: it ended, or was started by another process")
        return self._running[evaluation]

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """Read the standings anew where a transaction that they anticipated was not written."""
        try:
            yield
        except BaseException:
            self._standings = self._stand()
            raise

    def _verdict(self, id: int) -> tuple[str, str, int | None]:
        """Return verdict, words and incumbent: the better parent, or the seed where no parent has a score."""
        standing = self._standings[id]
        challenger = standing.evidence()
        if challenger is None:
            failure = standing.failure
            return "failed", f"{failure.kind}: {failure.detail}" if failure else "failed", None
        if id == 1:
            return "seed", "the seed, against which all is measured", None
        rivals = [self._standings[parent] for parent in standing.parents] or [self._standings[1]]
        rivals = [rival for rival in rivals if rival.mean is not None] or [self._standings[1]]
        incumbent = min(rivals, key=lambda rival: (self._standings.priced(rival) or 0.0, rival.id)).evidence()
        if incumbent is None:
            return "kept", "nothing to compare it with has a score: kept out", None
        peaks = [peak for parent in standing.parents if (peak := self._standings.peak(parent)) is not None]
        peak = min(peaks, key=lambda held: (self.objective.sign * held.mean, held.id), default=None)
        verdict = self.rule.judge(challenger, incumbent, peak)
        return verdict.kind, verdict.words, incumbent.id

    def _uncommitted(self) -> list[int]:
        """Return the individuals with a result that the lineage lacks, and drop the refs that the database lacks."""
        judged = {standing.id for standing in self._standings if standing.judged}
        stray = self._lineage.ids - judged
        if stray and not judged:
            raise DamagedArchive(
                f"{self.folder} holds {len(stray)} commits, but its database no result; "
                f"restore {DATABASE}, or start under another name"
            )
        self._lineage.remove(stray)
        return sorted(judged - self._lineage.ids)
