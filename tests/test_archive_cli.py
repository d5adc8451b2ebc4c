"""The command `archive`: what people type, what programs read, and what hostile text cannot break."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archive import Archive, open_run
from archive.cli import main
from genome import Genome, Offspring
from tests.archives import born, failed, run, scored, started, task, variant

HOSTILE = "[red]bold[/red] [/] \x1b[31mred\x1b[0m\nsecond line\x00 \ud800 \u202eevil :smile:"
FIELDS = {"id", "score", "size", "generation", "operator", "parents", "idea", "failure", "verified", "n", "sd"}
COMMANDS = ["best", "top", "front", "simple", "cells", "show 2", "diff 2", "lineage 5", "log", "failures"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one run: seed, two better ones, hostile failure, merge, birth without offspring."""
    folder = tmp_path_factory.mktemp("runs")
    with started(folder / "night") as archive:
        run(archive, 1, scored(2.002), "repeat")
        run(
            archive,
            born(archive, text=variant(1, extra=2), idea="add twice").id,
            scored(1.5, log="step 1\n\x1b[2Jstep 2"),
        )
        run(archive, born(archive, text=Genome({"train.py": "LR = 0.1\n"}), idea="delete it all").id, scored(2.001))
        hostile = born(archive, (2,), Genome({"train.py": "# \x1b[31m[red]\nx = 1\n"}), HOSTILE, op="edit")
        run(archive, hostile.id, failed("crash", HOSTILE, log="[bold]" + HOSTILE))
        run(archive, born(archive, (2, 3), op="merge").id, scored(1.6, verified=False))
        archive.abandon(archive.conceive("merge", (2, 3)), HOSTILE)
        archive.interrupt_evaluation(archive.start_evaluation(2, 9, 1, "repeat"))
    return folder


def call(runs: Path, line: str, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": "120", **environment}).invoke(main, [*line.split(), "--runs-dir", str(runs)])


def rows(runs: Path, line: str) -> list[dict[str, Any]]:
    result = call(runs, f"{line} --json")
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_one_json_array_of_objects_with_the_promised_fields(runs: Path, command: str) -> None:
    found = rows(runs, command)
    assert found
    assert all(set(row) >= FIELDS for row in found)
    assert all((row["score"] is None) == (row["failure"] is not None) for row in found)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_every_command_prints_text_that_is_plain_and_harmless(runs: Path, command: str, columns: str) -> None:
    result = call(runs, command, COLUMNS=columns, NO_COLOR="1")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert all(line == "" or line.isprintable() for line in result.stdout.split("\n"))


@pytest.mark.parametrize("command", [*(name.split()[0] for name in COMMANDS), "cost"])
def test_every_command_teaches_itself_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"^ +archive {command}", result.stdout, re.MULTILINE)
    assert set(main.commands) == {name.split()[0] for name in COMMANDS} | {"cost"}


def test_cost_counts_every_birth_and_what_an_improvement_took(runs: Path) -> None:
    found = json.loads(call(runs, "cost --json").stdout)
    assert sum(row["births"] for row in found) == 5  # the seed is no birth of an operator; one gave no offspring
    assert all(row["slot_min"] >= 0 and row["accepted"] <= row["births"] for row in found)
    assert "slot min" in call(runs, "cost", COLUMNS="200").stdout


def test_markup_in_an_idea_is_shown_as_it_is(runs: Path) -> None:
    for command in ("show 4", "log", "failures"):
        assert "[red]bold[/red] [/]" in call(runs, command, COLUMNS="300").stdout
    assert ":smile:" in call(runs, "log", COLUMNS="300").stdout


def test_the_lists_hold_whom_they_should(runs: Path) -> None:
    ids = {command: [row["id"] for row in rows(runs, command)] for command in COMMANDS}
    assert ids["best"] == [2]
    assert ids["top"] == [2, 5, 1, 3] or ids["top"] == [2, 5, 3, 1]
    assert ids["front"] == [3, 5, 2]
    assert ids["simple"] == [2]
    assert ids["log"] == [1, 2, 3, 4, 5]
    assert ids["lineage 5"] == [1, 2, 3, 5]
    assert ids["failures"] == [4]
    assert [row["id"] for row in rows(runs, "simple --within 0.6")] == [3, 5, 1, 2]
    assert [row["id"] for row in rows(runs, "top -n 1")] == [2]


def test_cells_cover_their_elites(runs: Path) -> None:
    for row in rows(runs, "cells"):
        assert row["from"] <= row["size"] < row["below"]
        assert row["count"] >= 1
    drawn = call(runs, "cells").stdout
    assert drawn.count("★") == 2  # one on the picture, one in its legend


def test_show_holds_birth_verdict_evaluations_and_genome(runs: Path) -> None:
    text = call(runs, "show 2").stdout
    for part in (
        "generation 1",
        "by tune from #1",
        "add twice",
        "bpb, beyond ±",
        ": better (against #1)",
        "step 2",
        "x = 1",
    ):
        assert part in text
    assert "interrupted, which says nothing about it" in text
    assert "UNVERIFIED" in call(runs, "show 5").stdout
    (row,) = rows(runs, "show 2")
    assert row["files"] == dict(variant(1, extra=2).files)
    assert [(one["purpose"], one["interrupted"]) for one in row["evaluations"]] == [("first", False), ("repeat", True)]
    assert row["evaluations"][0]["result"]["score"] == 1.5


def test_diff_is_against_the_seed_unless_told_otherwise(runs: Path) -> None:
    assert "+x = 1" in call(runs, "diff 2").stdout
    assert call(runs, "diff 1 2").stdout == call(runs, "diff 2").stdout
    assert "-x = 1" in call(runs, "diff 2 1").stdout
    before, after = rows(runs, "diff 3 2")
    assert (before["id"], after["id"]) == (3, 2)
    assert "--- a/train.py\n+++ b/train.py\n@@" in after["diff"]


def test_failures_are_grouped_with_a_meaning(runs: Path) -> None:
    text = call(runs, "failures").stdout
    assert "crash: 1 – the program ended with an error" in text
    assert "no offspring: 1" in text


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("show 99", 1, "no individual 99 in run night"),
        ("diff 2 99", 1, "no individual 99 in run night"),
        ("lineage 0", 1, "no individual 0 in run night"),
        ("top --run day", 1, "no run day in .*; it holds night"),
        ("diff 1 1", 1, "equal to the letter"),
        ("show two", 2, "'two' is not a valid integer"),
        ("show", 2, "Missing argument 'ID'"),
        ("simple --within -1", 2, "-1"),
        ("best --depth 3", 2, "No such option"),
        ("worst", 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_with_its_exit_code(runs: Path, line: str, code: int, words: str) -> None:
    result = call(runs, line)
    assert result.exit_code == code
    assert re.search(words, result.stderr)
    assert len([text for text in result.stderr.splitlines() if text.startswith("Error")]) == 1
    assert result.stdout == ""


def test_nothing_to_show_is_exit_code_1(tmp_path: Path) -> None:
    none = call(tmp_path, "best")
    assert (none.exit_code, none.stdout) == (1, "")
    assert "no runs in" in none.stderr
    Archive.open(tmp_path / "new", task()).close()
    for command in ("best", "top", "front", "simple", "cells"):
        plain, as_json = call(tmp_path, command), call(tmp_path, f"{command} --json")
        assert (plain.exit_code, plain.stdout) == (1, "")
        assert "has a score yet" in plain.stderr
        assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, [])
    assert call(tmp_path, "failures").exit_code == 1
    assert [row["id"] for row in rows(tmp_path, "log")] == [1]


def test_the_run_written_last_is_the_default(tmp_path: Path) -> None:
    for at, name in enumerate(["b", "a"]):
        started(tmp_path / name).close()
        os.utime(tmp_path / name / "archive.db", ns=(at, at * 10**9))
    assert "run a," in call(tmp_path, "show 1").stdout
    os.utime(tmp_path / "b" / "archive.db")
    assert "run b," in call(tmp_path, "show 1").stdout
    assert "run a," in call(tmp_path, "show 1 --run a").stdout
    assert "run a," in call(tmp_path / "elsewhere", f"show 1 --run {tmp_path / 'a'}").stdout


def test_commands_read_while_a_search_writes_and_after_it_was_killed(tmp_path: Path) -> None:
    archive = started(tmp_path / "live")
    one = born(archive)
    archive.start_evaluation(one.id, 1, 0)
    assert "running" in call(tmp_path, f"show {one.id}").stdout
    archive.close()
    child = os.fork()
    if child == 0:
        killed = started(tmp_path / "killed")
        killed.bear(killed.conceive("tune", (1,)), Offspring(variant(3), "tune", (1,), "last words"))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert (tmp_path / "killed" / "archive.db-wal").exists()
    assert "last words" in call(tmp_path, "log --run killed").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not write here")
def test_a_run_in_a_folder_that_one_may_not_write_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to other users
        os.chmod(folder, 0o755)
        started(Path(folder) / "old").close()
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                assert not os.access(Path(folder) / "old", os.W_OK)
                with open_run(Path(folder) / "old") as view:
                    os._exit(0 if view.seed().score == 2.0 else 2)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_command_starts_light_and_prints_to_any_terminal(runs: Path) -> None:
    code = (
        "import sys; from archive.cli import main; heavy = {'torch', 'git', 'sqlite_utils', 'rich'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "log", "--runs-dir", str(runs)],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii", "PYTHONPATH": "."},
        cwd=Path(__file__).parent.parent,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().strip() == "[]"
    assert b"add twice" in done.stdout
