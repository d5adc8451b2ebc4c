"""The archive: births and results as rows, one writer, nothing lost when it is closed or refused."""

from __future__ import annotations

import math
import random
import sqlite3
from pathlib import Path

import pytest

from archive import (
    Archive,
    CannotWrite,
    DamagedArchive,
    NewerSchema,
    NoIndividual,
    NoRun,
    OtherTask,
    RunInUse,
    Settings,
    open_run,
    store,
)
from archive.store import DATABASE
from archive.texts import IDEA_CHARS
from archive.view import View
from genome import Genome, Individual, Offspring
from tests.archives import born, failed, genome, run, scored, started, task, variant


def state(view: View) -> dict[str, object]:
    """Return all that a view says of a run's individuals."""
    entries = view.entries()
    return {
        "entries": entries,
        "individuals": view.individuals(entry.id for entry in entries),
        "order": view.standings.order(),
        "front": view.standings.front(),
        "cells": view.cells(),
        "sigma": view.sigma,
        "recent": [one.id for one in view.recent(5)],
    }


def random_life(archive: Archive, births: int, chance: random.Random) -> None:
    """Let a run live: births of one and of two parents, failures, repeats, births without offspring."""
    for _ in range(births):
        best = [one.id for one in archive.best(8)]
        parents = tuple(chance.sample(best, min(len(best), chance.choice([1, 1, 2]))))
        if chance.random() < 0.1:
            archive.abandon(archive.conceive("merge", parents), "equal to a parent")
            continue
        one = born(archive, parents, idea=f"idea {chance.random()}")
        run(archive, one.id, failed() if chance.random() < 0.2 else scored(2.0 - chance.random()))
        if chance.random() < 0.2:
            repeated = chance.choice(best)
            run(archive, repeated, failed("oom") if chance.random() < 0.1 else scored(1.5 + chance.random()), "repeat")


def test_a_new_run_holds_its_seed_and_nothing_else(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "run", task()) as archive:
        assert [one.id for one in archive.waiting()] == [1]
        assert archive.seed().genome == task().seed
        assert (archive.seed().generation, archive.seed().parents, archive.sigma) == (0, (), None)
        assert archive.champion() is None
        assert archive.best(3) == archive.elites() == archive.front() == []
        assert archive.counts().births == archive.counts().individuals == 1


def test_what_was_kept_is_the_same_after_a_restart_and_to_a_reader(tmp_path: Path) -> None:
    archive = started(tmp_path / "run")
    random_life(archive, 60, random.Random(3))
    before, counts = state(archive), archive.counts()
    with open_run(tmp_path / "run") as reader:
        assert state(reader) == before
    archive.close()
    with open_run("run", tmp_path) as reader:
        assert state(reader) == before
    with Archive.open(tmp_path / "run", task()) as again:
        assert state(again) == before
        assert again.counts() == counts


def test_births_are_numbered_without_gaps_and_name_their_individuals(tmp_path: Path) -> None:
    with started(tmp_path / "run", population_size=2) as archive:
        ids = [archive.conceive("tune", (1,)) for _ in range(4)]
        assert ids == [2, 3, 4, 5]
        for birth in (4, 2, 5, 3):
            archive.bear(birth, Offspring(variant(birth), "tune", (1,), "x"))
        assert [archive.individual(id).generation for id in ids] == [1, 1, 2, 2]
        assert archive.counts().generations == {0: 1, 1: 2, 2: 2}


def test_genomes_come_back_to_the_letter(tmp_path: Path) -> None:
    files = {"a.txt": "tab\t\r\nno end \ud800 é 漢", "sub/train.py": "x = 'naïve'\n", "empty.txt": ""}
    with Archive.open(tmp_path / "run", task()) as archive:
        one = archive.bear(archive.conceive("x", ()), Offspring(Genome(files), "x", (), "y"))
    with open_run(tmp_path / "run") as reader:
        kept = reader.individual(one.id).genome
    assert dict(kept.files) == dict(sorted(files.items()))
    fresh = Genome(files)
    assert (kept.size, kept.lines, kept.digest, kept) == (fresh.size, fresh.lines, fresh.digest, fresh)


def test_open_births_are_those_begun_and_not_ended(tmp_path: Path) -> None:
    archive = started(tmp_path / "run")
    birth = archive.conceive("merge", (1,), inspirations=(1,))
    born(archive)
    archive.abandon(archive.conceive("tune", (1,)), "nothing\nto try")
    archive.close()
    with Archive.open(tmp_path / "run", task()) as again:
        (found,) = again.open_births()
        assert (found.id, found.operator, found.parents, found.inspirations) == (birth, "merge", (1,), (1,))
        assert again.abandoned() == [(4, "tune", "nothing to try")]


def test_a_birth_ends_once(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        one = born(archive)
        lost = archive.conceive("tune", (1,))
        archive.abandon(lost, "no")
        for birth in (one.id, lost, 99):
            with pytest.raises(ValueError, match=f"birth {birth} is not open"):
                archive.bear(birth, Offspring(variant(7), "tune", (1,), "again"))
            with pytest.raises(ValueError, match=f"birth {birth} is not open"):
                archive.abandon(birth, "again")
        with pytest.raises(ValueError, match="parents"):
            archive.bear(archive.conceive("tune", (50,)), Offspring(variant(8), "tune", (50,), "x"))


def test_scores_pool_and_any_failure_fails_the_individual(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        one = born(archive)
        run(archive, one.id, scored(1.0))
        pooled = run(archive, one.id, scored(1.2, verified=False), "repeat")
        assert (pooled.score, pooled.n, pooled.verified) == (1.1, 2, False)
        assert pooled.sd == pytest.approx(math.sqrt(0.02))
        assert archive.sigma == pytest.approx(pooled.sd)
        assert archive.champion() == pooled
        broken = run(archive, one.id, failed("oom"), "confirm")
        assert broken.score is None
        assert broken.failure is not None
        assert broken.failure.kind == "oom"
        assert archive.entry(one.id).verdict == "failed"
        champion = archive.champion()
        assert champion is not None
        assert champion.id == 1
        assert one.id not in [other.id for other in (*archive.best(9), *archive.front(), *archive.elites())]


def test_an_interrupted_evaluation_is_neither_score_nor_failure(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        one = born(archive)
        archive.interrupt_evaluation(archive.start_evaluation(one.id, 5, 1))
        assert [waiting.id for waiting in archive.waiting()] == [one.id]
        assert archive.individual(one.id) == one
        archive.interrupt_evaluation(archive.start_evaluation(1, 5, 1, "repeat"))
        assert archive.seed().n == 1
        assert [waiting.id for waiting in archive.waiting()] == [one.id]
        assert archive.counts().interrupted == 2


def test_a_result_is_stored_once(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        evaluation = archive.start_evaluation(born(archive).id, 1, 0)
        archive.finish_evaluation(evaluation, scored(1.0))
        for late in (archive.interrupt_evaluation, lambda id: archive.finish_evaluation(id, scored(0.5))):
            with pytest.raises(ValueError, match="not running"):
                late(evaluation)
        assert archive.individual(2).scores == (1.0,)


def test_the_verdict_is_against_the_better_parent_and_the_best_of_the_line(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        assert archive.entry(1).verdict == "seed"
        worse = run(archive, born(archive, text=variant(1, extra=30)).id, scored(2.5))
        best = run(archive, born(archive, text=variant(2, extra=20)).id, scored(1.5))
        child = run(archive, born(archive, (worse.id, best.id), variant(3, extra=10)).id, scored(1.5))
        assert (archive.entry(child.id).verdict, archive.entry(child.id).incumbent) == ("simpler", best.id)
        run(archive, 1, scored(2.0 + 2e-3), "repeat")  # σ = 0.0014, a band of 0.004 between two single runs
        step = run(archive, born(archive, (child.id,), variant(4, extra=9)).id, scored(1.503))
        assert archive.entry(step.id).verdict == "simpler"
        slid = run(archive, born(archive, (step.id,), variant(5, extra=8)).id, scored(1.506))
        assert archive.entry(slid.id).verdict == "kept"
        assert f"against #{best.id}, the best of its lineage" in (archive.entry(slid.id).words or "")
        assert archive.entry(run(archive, born(archive).id, failed()).id).verdict == "failed"


def test_queries_over_kinship(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        a, b = (run(archive, born(archive).id, scored(1.9)).id for _ in range(2))
        c = run(archive, born(archive, (a, b)).id, failed()).id
        d = born(archive, (b,)).id
        assert archive.ancestors(c) == [b, a, 1]
        nearest = {pair: archive.ancestor(*pair) for pair in ((c, d), (a, b), (a, c), (d, d))}
        assert {pair: one.id for pair, one in nearest.items() if one} == {(c, d): b, (a, b): 1, (a, c): a, (d, d): d}
        assert [one.id for one in archive.offspring([b])] == [c]  # d was not evaluated yet
        assert [one.id for one in archive.offspring([1, a])] == [c, b, a]
        assert archive.offspring([]) == []
        assert [one.id for one in archive.recent(2)] == [c, b]
        assert archive.seen(variant(a))
        assert archive.twin(genome("# a comment\n" + str(task().seed.files["train.py"]))) == 1
        assert not archive.seen(variant(99))
        with pytest.raises(NoIndividual, match="no individual 77"):
            archive.ancestors(77)


def test_finished_evaluations_keep_what_was_printed(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        one = born(archive)
        run(archive, one.id, failed("crash", "line 1\nline 2", log="Traceback\n\x1b[31mboom\ud800"))
        (kept,) = archive.evaluations(one.id)
        assert kept.log == "Traceback\n\x1b[31mboom\ud800"
        assert kept.failure is not None
        assert kept.failure.detail == "line 1 line 2"
        assert archive.evaluations(1)[0].metrics == {"steps": 10.0}


@pytest.mark.parametrize(
    "idea",
    ["[red]x[/red]\nsecond\r\x1b[31m line\x00", "\ud800\u202eevil", "a" * 5000, "", " \t\u2028 ", "naïve 漢字 ★"],
)
def test_an_idea_becomes_one_harmless_line(tmp_path: Path, idea: str) -> None:
    with started(tmp_path / "run") as archive:
        kept = run(archive, born(archive, idea=idea).id, scored(1.0)).idea
    assert kept == "" or kept.isprintable()
    assert len(kept) <= IDEA_CHARS
    if idea.isprintable() and 0 < len(idea) <= IDEA_CHARS:
        assert kept == idea


def test_settings_of_a_resumed_run_may_change_and_it_is_noted(tmp_path: Path) -> None:
    started(tmp_path / "run", price=0.0).close()
    with Archive.open(tmp_path / "run", task(), Settings(price=1.0), "new: config") as again:
        assert (again.price, again.run.config) == (1.0, "new: config")
        assert [kind for _, kind, _ in again.events()] == ["settings"]


@pytest.mark.parametrize("other", [task("another"), task(direction="maximize"), task(seed="x = 1\n")])
def test_another_task_is_refused(tmp_path: Path, other) -> None:
    started(tmp_path / "run").close()
    with pytest.raises(OtherTask, match=r"run run holds .*another name"):
        Archive.open(tmp_path / "run", other)
    started(tmp_path / "run").close()  # and the refusal left nothing locked


def test_a_run_has_one_writer(tmp_path: Path) -> None:
    with started(tmp_path / "run"), pytest.raises(RunInUse, match=r"in use by process \d+"):
        Archive.open(tmp_path / "run", task())
    started(tmp_path / "run").close()


def test_a_newer_database_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    started(tmp_path / "run").close()
    sqlite3.connect(tmp_path / "run" / DATABASE).execute("PRAGMA user_version = 99").connection.close()
    with pytest.raises(NewerSchema, match="schema 99"):
        started(tmp_path / "run")
    with pytest.raises(NewerSchema, match="schema 99"):
        open_run(tmp_path / "run")


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    started(tmp_path / "run").close()
    (tmp_path / "run" / DATABASE).write_bytes(b"this is not a database" * 100)
    with pytest.raises(DamagedArchive, match="is damaged"):
        open_run(tmp_path / "run")
    with pytest.raises(DamagedArchive, match="is damaged"):
        started(tmp_path / "run")


def test_a_missing_run_names_those_there_are(tmp_path: Path) -> None:
    started(tmp_path / "night").close()
    with pytest.raises(NoRun, match=r"no run day in .*; it holds night"):
        open_run("day", tmp_path)


def full_disk(archive: Archive) -> None:
    pages = archive.store.value("PRAGMA page_count")
    archive.store.connection.execute(f"PRAGMA max_page_count = {pages}")


def read_only(archive: Archive) -> None:
    archive.store.connection.execute("PRAGMA query_only = 1")


@pytest.mark.parametrize(("break_it", "words"), [(full_disk, "free space"), (read_only, "writable")])
def test_what_cannot_be_written_is_told_and_what_was_archived_stays(tmp_path: Path, break_it, words: str) -> None:
    archive = started(tmp_path / "run")
    random_life(archive, 10, random.Random(1))
    one = born(archive)
    evaluation = archive.start_evaluation(one.id, 0, 0)
    before, counts = state(archive), archive.counts()
    break_it(archive)
    noise = (
        "".join(chr(33 + random.Random(2).randrange(90)) for _ in range(10)) + random.Random(4).randbytes(99_999).hex()
    )
    with pytest.raises(CannotWrite, match=words):
        archive.finish_evaluation(evaluation, scored(0.1, log=noise))
    assert (state(archive), archive.counts()) == (before, counts)
    with open_run(tmp_path / "run") as reader:
        assert state(reader) == before
    archive.store.connection.execute("PRAGMA query_only = 0")
    archive.store.connection.execute("PRAGMA max_page_count = 1000000")
    assert archive.finish_evaluation(evaluation, scored(0.1, log=noise)).score == 0.1  # the result is not lost
    archive.close()


def test_a_database_that_another_program_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_TIMEOUT_S", 0.0)
    with started(tmp_path / "run") as archive:
        other = sqlite3.connect(tmp_path / "run" / DATABASE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match="locked by another program"):
            archive.conceive("tune", (1,))
        other.close()
        assert archive.conceive("tune", (1,)) == 2


def test_a_reader_keeps_its_moment_while_the_writer_goes_on(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive, open_run(tmp_path / "run") as reader:
        before = state(reader)
        random_life(archive, 20, random.Random(5))
        assert state(reader) == before
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.store.connection.execute("DELETE FROM individuals")
        with open_run(tmp_path / "run") as later:
            assert state(later) == state(archive)


def test_a_reader_of_a_database_without_a_run_is_told(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / DATABASE).close()
    with pytest.raises(NoRun, match="no run yet"):
        open_run(tmp_path)


def test_settings_without_sense_are_refused() -> None:
    for wrong in ({"price": -1.0}, {"z": math.nan}, {"cell_percent": 0.0}, {"population_size": 0}):
        with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
            Settings(**wrong)  # type: ignore[arg-type]


def test_individuals_are_what_operators_expect(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        one = born(archive, idea="less is more")
        assert one == Individual(2, variant(2), "tune", (1,), "less is more", 1)
