"""The loop: it improves, repeats itself by seed, stops as told, and loses nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from archive import Archive, Settings, open_run
from evolve import Budget, Mix, Schedule, Search, SeedFailed, Tournament
from evolve.mix import Share
from fitness.evaluator import Evaluator
from genome import NoOffspring, Offspring
from tests.parts import Arithmetic, Step, make_task


def open_archive(folder: Path, **settings: Any) -> Archive:
    return Archive.open(folder / "run", make_task(folder), Settings(population_size=4, **settings))


def make_search(archive: Archive, evaluator: Evaluator, evaluations: int = 20, **options: Any) -> Search:
    operators = options.pop("operators", [Step()])
    mix = Mix({operator.name: Share(operator, 1.0) for operator in operators})
    budget = options.pop("budget", Budget(evaluations=evaluations))
    return Search(
        archive, evaluator, mix, Tournament(4, 2), budget, workspaces=archive.folder / "workspaces", **options
    )


def births(folder: Path) -> list[tuple[Any, ...]]:
    with open_run(folder / "run") as run:
        return [(entry.id, entry.operator, entry.parents, entry.idea, entry.score) for entry in run.entries()]


def test_a_search_finds_a_better_champion_than_the_seed(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    reason = make_search(archive, Arithmetic(), 60).run()
    champion, seed = archive.champion(), archive.seed()
    assert "60 evaluations" in reason
    assert champion is not None
    assert champion.score is not None
    assert seed.score is not None
    assert champion.score < seed.score - 1
    archive.close()


def test_one_slot_and_one_seed_repeat_the_same_births(tmp_path: Path) -> None:
    stories = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        archive = open_archive(folder)
        make_search(archive, Arithmetic(sigma=0.1), 30, seed=7).run()
        archive.close()
        stories.append(births(folder))
    assert stories[0] == stories[1]
    assert len(stories[0]) >= 30


def test_another_seed_gives_other_births(tmp_path: Path) -> None:
    stories = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        archive = open_archive(folder)
        make_search(archive, Arithmetic(), 12, seed=seed).run()
        archive.close()
        stories.append(births(folder))
    assert stories[0] != stories[1]


def test_the_budget_is_never_exceeded_whatever_the_slots(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    evaluator = Arithmetic()
    make_search(archive, evaluator, 17, slots=4).run()
    assert evaluator.calls == archive.counts().evaluations == 17
    archive.close()


def test_resuming_goes_on_as_if_never_interrupted(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, stops in ((whole, (24,)), (parts, (5, 6, 15, 24))):
        folder.mkdir()
        for stop in stops:
            archive = open_archive(folder)
            make_search(archive, Arithmetic(), stop, schedule=Schedule(lookahead=0)).run()
            archive.close()
    assert births(whole)[:20] == births(parts)[:20]


def test_a_genome_that_was_born_before_is_not_evaluated_again(tmp_path: Path) -> None:
    class Copy:
        name, arity = "copy", 1

        def breed(self, parents: Any, lore: Any, rng: Any) -> Offspring:
            return Offspring(parents[0].genome, self.name, (parents[0].id,), "nothing")

    archive = open_archive(tmp_path)
    evaluator = Arithmetic()
    reason = make_search(archive, evaluator, operators=[Copy()]).run()
    assert evaluator.calls == 1
    assert "anything new" in reason
    archive.close()


def test_an_operator_without_offspring_costs_no_evaluation_and_is_noted(tmp_path: Path) -> None:
    class Barren:
        name, arity = "barren", 1

        def breed(self, parents: Any, lore: Any, rng: Any) -> Offspring:
            raise NoOffspring("nothing to delete")

    archive = open_archive(tmp_path)
    make_search(archive, Arithmetic(), 10, operators=[Step(), Barren()]).run()
    assert archive.counts().abandoned > 0
    assert {reason for _, operator, reason in archive.abandoned() if operator == "barren"} == {"nothing to delete"}
    archive.close()


def test_a_failing_seed_stops_the_run_with_its_log(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    with pytest.raises(SeedFailed, match="unlucky digest"):
        make_search(archive, Arithmetic(fails=1.0)).run()
    archive.close()


def test_failures_are_archived_and_never_parents(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    make_search(archive, Arithmetic(fails=0.5), 40, seed=3).run()
    failed = {entry.id for entry in archive.entries() if entry.failure}
    assert failed
    assert not any(failed & set(entry.parents) for entry in archive.entries())
    archive.close()


def test_stop_lets_running_evaluations_finish(tmp_path: Path) -> None:
    gate, running = threading.Event(), threading.Event()
    archive = open_archive(tmp_path)
    search = make_search(archive, Arithmetic(gate=gate, on_call=lambda *_: running.set()))

    def stop_then_open() -> None:
        running.wait(10)
        search.stop("asked to")
        gate.set()

    helper = threading.Thread(target=stop_then_open)
    helper.start()
    assert search.run() == "asked to"
    helper.join()
    assert archive.counts().evaluations == 1
    archive.close()


def test_cancel_kills_what_runs_and_it_runs_again_on_resume(tmp_path: Path) -> None:
    gate, running = threading.Event(), threading.Event()
    archive = open_archive(tmp_path)
    search = make_search(archive, Arithmetic(gate=gate, on_call=lambda *_: running.set()))

    def cancel() -> None:
        running.wait(10)
        search.cancel("now")

    helper = threading.Thread(target=cancel)
    helper.start()
    assert search.run() == "now"
    helper.join()
    assert archive.counts().evaluations == 0
    archive.close()
    archive = open_archive(tmp_path)
    make_search(archive, Arithmetic(), 5).run()
    assert archive.seed().score is not None
    archive.close()


def test_a_stop_file_ends_the_search_softly(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    stop = archive.folder / "STOP"
    evaluator = Arithmetic(on_call=lambda *_: stop.touch())
    reason = make_search(archive, evaluator).run()
    assert "STOP" in reason
    assert not stop.exists()
    assert archive.counts().evaluations == evaluator.calls < 20
    archive.close()


def test_what_an_evaluator_raises_ends_the_search_and_keeps_the_archive(tmp_path: Path) -> None:
    def explode(_genome: Any, _seed: int) -> None:
        if evaluator.calls == 4:
            raise OSError("the disk is gone")

    evaluator = Arithmetic(on_call=explode)
    archive = open_archive(tmp_path)
    with pytest.raises(OSError, match="the disk is gone"):
        make_search(archive, evaluator).run()
    assert archive.counts().evaluations == 3
    archive.close()


def test_patience_ends_a_search_that_no_longer_improves(tmp_path: Path) -> None:
    class Worse(Step):
        def breed(self, parents: Any, lore: Any, rng: Any) -> Offspring:
            genome = parents[0].genome.replaced("train.py", f"A = {10 + rng.random()}\nB = 1.0\nC = 1.0\nUNUSED = 3\n")
            return Offspring(genome, self.name, (parents[0].id,), "worse")

    archive = open_archive(tmp_path)
    reason = make_search(archive, Arithmetic(), operators=[Worse()], budget=Budget(evaluations=90, patience=8)).run()
    assert "no better champion in 8" in reason
    assert archive.counts().evaluations < 20
    archive.close()


def test_a_barrier_breeds_only_when_the_generation_is_whole(tmp_path: Path) -> None:
    archive = open_archive(tmp_path)
    make_search(archive, Arithmetic(), 13, schedule=Schedule(barrier=True), slots=2).run()
    by_id = {entry.id: entry for entry in archive.entries()}
    assert all(by_id[parent].generation < entry.generation for entry in by_id.values() for parent in entry.parents)
    archive.close()
