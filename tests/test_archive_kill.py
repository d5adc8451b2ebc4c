"""Killed between any two statements, the archive is consistent, readable and goes on; nothing finished is lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from archive import Archive, NoRun, open_run
from archive.store import DATABASE, Store
from genome import Call, Reply
from tests.archives import born, run, scored, started, task

CALL = Call("model", ({"role": "user", "content": "shorter, please"},))

WRITER = """
import random, sys
from pathlib import Path
from tests.archives import born, failed, run, scored, started
archive, chance = started(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
while True:
    parents = tuple(chance.sample([one.id for one in archive.best(4)], 1))
    one = run(archive, born(archive, parents).id, failed() if chance.random() < 0.2 else scored(chance.random()))
    print(one.id, one.score, flush=True)
    if chance.random() < 0.2:
        archive.flush()
"""


def little_life(archive: Archive) -> None:
    """Write each kind of row once or twice."""
    run(archive, 1, scored(2.0))
    birth = archive.conceive("edit", (1,))
    archive.finish_call(archive.start_call(birth, CALL), Reply("x", usd=0.5))
    archive.abandon(birth, "no reply parsed")
    run(archive, born(archive).id, scored(1.5))
    archive.interrupt_evaluation(archive.start_evaluation(born(archive).id, 1, 0))
    run(archive, 1, scored(2.1), "repeat")
    archive.event("note", "the end")


def kill_at(statement: int, folder: Path) -> bool:
    """Live a little in another process that is killed before its n-th statement; return whether it was."""
    child = os.fork()
    if child == 0:
        left = [statement]

        def count(_sql: str) -> None:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

        plain = Store.__init__

        def watched(self: Store, path: Path, connection: sqlite3.Connection) -> None:
            plain(self, path, connection)
            connection.set_trace_callback(count)

        Store.__init__ = watched  # type: ignore[method-assign]
        try:
            little_life(Archive.open(folder, task()))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(folder: Path) -> None:
    """Check that a run whose writer was killed can be read, agrees with itself, and goes on."""
    with closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        finished = db.execute("SELECT individual, score, failure FROM evaluations WHERE finish IS NOT NULL").fetchall()
        judged = dict(db.execute("SELECT id, verdict FROM individuals"))
    assert all((judged[id] is not None) for id, _, _ in finished)
    assert {id for id, verdict in judged.items() if verdict} == {id for id, _, _ in finished}
    with Archive.open(folder, task()) as archive:
        counts = archive.counts()
        assert counts.births == counts.individuals + counts.abandoned + len(archive.open_births())
        assert counts.evaluations == len(finished)
        assert {one.id for one in archive.waiting()} == set(judged or {1}) - {id for id, _, _ in finished}
        assert counts.running == 0
        assert archive._lineage.ids == {id for id, _, _ in finished}
        run(archive, 1, scored(2.0), "repeat")
        run(archive, born(archive).id, scored(1.0))
        assert archive.counts().evaluations == len(finished) + 2


def test_killed_before_any_statement_the_run_goes_on(tmp_path: Path) -> None:
    started(tmp_path / "warm").close()  # what is imported here, the children need not import
    statement, killed = 0, True
    while killed:
        statement += 1
        folder = tmp_path / str(statement)
        killed = kill_at(statement, folder)
        try:
            open_run(folder).close()
        except NoRun:
            assert statement < 10  # before the run's first transaction was committed
        check(folder)
    assert statement > 40  # the life above has that many statements


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_moment_no_finished_evaluation_is_lost(tmp_path: Path, seed: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run"), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert writer.stdout is not None
    chance = random.Random(seed)
    told = [writer.stdout.readline() for _ in range(chance.randint(5, 60))]
    time.sleep(chance.random() * 0.02)
    writer.kill()
    told.extend(line for line in writer.stdout if line.endswith("\n"))
    writer.wait()
    results = {int(line.split()[0]): line.split()[1] for line in told}
    with open_run(tmp_path / "run") as reader:
        assert {id: str(reader.individual(id).score) for id in results} == results
    check(tmp_path / "run")


def test_ctrl_c_reaches_the_engine_but_not_its_git(tmp_path: Path) -> None:
    soft = "import signal; signal.signal(signal.SIGINT, lambda *_: None)\n" + WRITER
    writer = subprocess.Popen(
        [sys.executable, "-c", soft, str(tmp_path / "run"), "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        start_new_session=True,
    )
    assert writer.stdout is not None
    for _ in range(100):
        assert writer.stdout.readline()
        os.killpg(writer.pid, signal.SIGINT)
    writer.kill()
    writer.communicate()
    check(tmp_path / "run")


def test_evaluations_that_a_kill_cut_off_are_marked_and_wait_again(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        archive = started(tmp_path / "run")
        archive.start_evaluation(born(archive).id, 1, 0)
        archive.start_evaluation(1, 2, 1, "control")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with open_run(tmp_path / "run") as reader:
        assert [(trial.interrupted, trial.result) for trial in reader.trials(2)] == [(False, None)]
    with Archive.open(tmp_path / "run", task()) as archive:
        assert [one.id for one in archive.waiting()] == [2]
        assert archive.individual(2).failure is None
        assert archive.seed().scores == (2.0,)
        assert [trial.interrupted for trial in (*archive.trials(2), *archive.trials(1))] == [True, False, True]
        assert [kind for _, kind, _ in archive.events()] == ["interrupted"]
