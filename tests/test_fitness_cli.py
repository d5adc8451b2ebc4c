"""`fitness score` from outside: what it prints, and one clear line for every mistake."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from fitness import cli
from fitness.training import TrainingRun
from tests.fitness_support import FIXED, write_corpus


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(FIXED)
    return path


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus").mkdir()
    monkeypatch.setitem(cli.TASKS, "train_cpu", partial(TrainingRun, corpus=write_corpus(tmp_path / "corpus"), rows=8))


@pytest.mark.usefixtures("tiny")
def test_score_prints_one_object_with_the_score_and_its_spread(file: Path) -> None:
    result = CliRunner().invoke(cli.main, ["score", str(file), "--budget-s", "0.3", "--repeats", "2", "--json"])
    (row,) = json.loads(result.output)
    assert result.exit_code == 0
    assert row["score"] > 0
    assert (row["n"], row["sd"], row["failure"], row["verified"]) == (2, 0.0, None, True)
    assert row["size"] > 10


@pytest.mark.usefixtures("tiny")
def test_a_failure_is_told_with_its_reason_and_exit_status_one(file: Path) -> None:
    file.write_text("raise ValueError('no such thing')\n")
    result = CliRunner().invoke(cli.main, ["score", str(file), "--budget-s", "0.3"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "ValueError: no such thing" in result.output
    assert "no score" in result.output


def test_missing_data_names_the_command_that_mends_it(file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main, ["score", str(file)], env={"GENEPOOL_CACHE": str(tmp_path / "empty")})
    assert result.exit_code == 1
    assert "fitness prepare" in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "options", "status", "words"),
    [
        ("def broken(:\n", [], 1, "does not parse"),
        (FIXED, ["--budget-s", "0"], 2, "budget"),
        (FIXED, ["--repeats", "0"], 2, "repeats"),
        (FIXED, ["--task", "nonsense"], 2, "train_cpu"),
    ],
)
def test_mistakes_are_one_clear_line(file: Path, text: str, options: list[str], status: int, words: str) -> None:
    file.write_text(text)
    result = CliRunner().invoke(cli.main, ["score", str(file), *options])
    assert result.exit_code == status
    assert words in result.output
