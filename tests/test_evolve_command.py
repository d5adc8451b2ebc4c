"""The `evolve` command as a user meets it: errors in one line, sweeps, resuming, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from archive import ArchiveError, open_run

ROOT = Path(__file__).resolve().parent.parent
TOY = ("task=toy", "operators=toy", "rule.seed_repeats=1")


def command(folder: Path, *overrides: str) -> tuple[list[str], dict[str, object]]:
    genome, brief = folder / "train.py", folder / "brief.md"
    genome.write_text("A = 1.0\nB = 1.0\nC = 1.0\nUNUSED = 3\n")
    brief.write_text("smaller\n")
    flags = [word for word in overrides if word.startswith("-")]
    words = [sys.executable, "-m", "evolve", "--config-dir", str(ROOT / "tests" / "conf"), *flags, *TOY]
    words += [word for word in overrides if not word.startswith("-")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return words, {
        "cwd": folder,
        "env": environment,
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


def evolve(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    words, options = command(folder, *overrides)
    return subprocess.run(words, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def test_a_run_prints_a_line_per_result_and_a_summary_and_resumes(tmp_path: Path) -> None:
    first = evolve(tmp_path, "name=x", "budget.evaluations=12")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("nodes") >= 12
    assert "champion" in first.stdout
    assert "archive front --run x" in first.stdout
    again = evolve(tmp_path, "name=x", "budget.evaluations=12")
    assert "raise budget.evaluations to go on" in again.stdout
    with open_run(tmp_path / "runs" / "x") as run:
        assert len(run.recent(100)) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brief.md", "runs", "train.py"]


@pytest.mark.parametrize(
    ("override", "words", "code"),
    [
        ("population.sizes=4", "did you mean 'population.size'", 2),
        ("operators.mix.none.weight=1", "there is no key 'operators.mix.none.weight'", 2),
        ("selection=tournamnt", "there are from_seed, greedy, nsga2, tournament", 2),
        ("population.size=0", "1", 1),
        ("execution.slots=0", "execution.slots is 1 or more; got 0", 1),
        ("budget.evaluations=null", "a search needs an end", 1),
        ("task.brief=/nowhere.md", "no brief at /nowhere.md", 1),
        ("task.genome=/nowhere", "no genome at /nowhere", 1),
        ("name=../escape", "is to be a folder", 1),
    ],
)
def test_what_a_user_gets_wrong_is_told_in_one_line(tmp_path: Path, override: str, words: str, code: int) -> None:
    ended = evolve(tmp_path, override)
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) <= 2
    assert ended.returncode == code


def test_a_sweep_makes_one_run_for_each_combination(tmp_path: Path) -> None:
    ended = evolve(tmp_path, "-m", "name=s", "population.size=2,4", "seed=0,1", "budget.evaluations=3")
    assert ended.returncode == 0, ended.stderr
    names = sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert len(names) == 4
    assert all("population.size=" in name and "seed=" in name for name in names)


def test_help_names_every_group(tmp_path: Path) -> None:
    ended = evolve(tmp_path, "--help")
    for group in sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir()):
        assert group in ended.stdout


def test_a_run_in_use_is_refused_with_its_pid(tmp_path: Path) -> None:
    words, options = command(tmp_path, "name=x", "budget.evaluations=100000", "budget.hours=1")
    with subprocess.Popen(words, **options) as busy:  # type: ignore[call-overload]
        try:
            wait_for_results(tmp_path / "runs" / "x", 1)
            refused = evolve(tmp_path, "name=x")
            assert str(busy.pid) in refused.stderr
            assert refused.returncode == 1
        finally:
            busy.send_signal(signal.SIGINT)
            out, err = busy.communicate(timeout=30)
    assert "SIGINT" in out
    assert busy.returncode == 0, err


@pytest.mark.parametrize("results", [0, 3, 40])
def test_a_kill_loses_no_finished_evaluation_and_repeats_none(tmp_path: Path, results: int) -> None:
    """Killed while the seed runs, early, and in the middle of a stream of births, commits and results."""
    words, options = command(tmp_path, "name=x", "budget.evaluations=100000", "budget.hours=1", "execution.slots=2")
    with subprocess.Popen(words, **options) as busy:  # type: ignore[call-overload]
        wait_for_results(tmp_path / "runs" / "x", results)
        busy.kill()
        busy.communicate(timeout=30)
    with open_run(tmp_path / "runs" / "x") as run:
        finished = {one.id: one.scores for one in run.recent(100_000)}
    ended = evolve(tmp_path, "name=x", f"budget.evaluations={len(finished) + 20}", "execution.slots=2")
    assert ended.returncode == 0, ended.stderr
    with open_run(tmp_path / "runs" / "x") as run:
        after = {one.id: one.scores for one in run.recent(100_000)}
    assert {id: after[id] for id in finished} == finished
    assert all(len(scores) <= 1 for scores in after.values())
    assert len(after) == len(finished) + 20
    assert committed(tmp_path / "runs" / "x") == set(after)


DEADLY = "task.evaluator._target_=tests.parts.DeadlyArithmetic"
MOMENTS = {
    "breeding": ("operators.mix.step.operator._target_=tests.parts.DeadlyStep", "+operators.mix.step.operator.at=9"),
    "evaluating": (DEADLY, "+task.evaluator.at=9", "+task.evaluator.storing=false"),
    "archiving": (DEADLY, "+task.evaluator.at=9", "+task.evaluator.storing=true"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_the_worst_moment_leaves_a_run_that_goes_on(tmp_path: Path, moment: str) -> None:
    killed = evolve(tmp_path, "name=x", "budget.evaluations=20", *MOMENTS[moment])
    assert killed.returncode == -signal.SIGKILL
    with open_run(tmp_path / "runs" / "x") as run:
        before = {one.id: one.scores for one in run.recent(100)}
    assert before
    assert evolve(tmp_path, "name=x", "budget.evaluations=20").returncode == 0
    with open_run(tmp_path / "runs" / "x") as run:
        after = {one.id: one.scores for one in run.recent(100)}
        evaluations = [trial for id in after for trial in run.trials(id)]
    assert {id: after[id] for id in before} == before
    assert all(len(scores) == 1 for scores in after.values())
    assert len([trial for trial in evaluations if trial.result is not None]) == 20
    assert len([trial for trial in evaluations if trial.interrupted]) <= 2
    assert committed(tmp_path / "runs" / "x") == set(after)


def committed(run: Path) -> set[int]:
    words = ["git", "-C", str(run / "lineage.git"), "for-each-ref", "--format=%(refname)", "refs/individuals"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return {int(name.rsplit("/", 1)[1]) for name in names}


def wait_for_results(run: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run / "archive.db").exists():
            with suppress(ArchiveError), open_run(run) as view:  # ArchiveError: it is being created right now
                if len(view.recent(count + 1)) >= count:
                    return
        time.sleep(0.02)
    raise AssertionError(f"no {count} results in {run} within a minute")
