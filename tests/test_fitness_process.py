"""Processes measured and ended from outside, with all that they started; logs that stay small."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitness.process import MARKER, CappedLog, Tree, children, descendants, is_alive, kill_marked, read_stat, spawn

# adopts what its descendants leave, and reaps it, as a fork server does
ROOT = """
import os, signal, sys, time
from fitness.process import PR_SET_CHILD_SUBREAPER, prctl
prctl(PR_SET_CHILD_SUBREAPER, 1)
{body}
os.write(1, b"ready\\n")
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.01)
"""
SLEEPERS = """
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.fork()
        os.write(1, b"up\\n")
        time.sleep(600)
"""
BURN = """
if os.fork() == 0:
    if os.fork() == 0:
        end = time.process_time() + 0.4
        while time.process_time() < end: pass
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
"""


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", ROOT.format(body=request.param)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert process.stdout is not None
    ups = 6 if request.param == SLEEPERS else 0
    assert sorted(process.stdout.readline() for _ in range(ups + 1)) == [b"ready\n", *[b"up\n"] * ups]
    yield process
    Tree(process.pid).kill()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("root", [SLEEPERS], indirect=True)
def test_kill_leaves_nothing_below_the_root_and_the_root_alive(root: subprocess.Popen[bytes]) -> None:
    tree = Tree(root.pid)
    below = tree.alive()
    assert len(below) == 6
    assert tree.kill()
    assert not any(is_alive(pid) for pid in below)
    assert list(descendants(root.pid)) == []
    assert root.poll() is None


@pytest.mark.parametrize("root", [BURN], indirect=True)
def test_reaped_grandchildren_are_counted(root: subprocess.Popen[bytes]) -> None:
    tree = Tree(root.pid)
    tree._base_s = 0.0  # as if it had been watched from the beginning
    assert 0.35 < tree.sample() < 0.8
    tree.restart()
    assert tree.sample() == 0.0


@pytest.mark.parametrize("root", ["if os.fork() == 0:\n    while True: pass"], indirect=True)
def test_the_living_are_counted_as_they_go(root: subprocess.Popen[bytes]) -> None:
    tree = Tree(root.pid)
    before, began = tree.sample(), time.monotonic()
    while tree.sample() < before + 0.2:
        assert time.monotonic() - began < 30
    assert tree.peak_rss_bytes > 1 << 20


def test_what_is_gone_has_no_figures() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert read_stat(process.pid) is None
    assert children(process.pid) == []
    assert not is_alive(process.pid)
    assert Tree(process.pid).sample() == 0.0


def test_spawned_processes_see_only_the_environment_given_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as lines, os.fdopen(writer, "wb") as log:
        show = "import os; print(sorted(os.environ), os.getsid(0) == os.getpid())"
        process = spawn([sys.executable, "-c", show], env={"ONLY": "this"}, stdin=subprocess.DEVNULL, log=log)
        log.close()
        said = lines.read().decode()
    assert process.wait() == 0
    assert "'ONLY'" in said
    assert "OPENAI_API_KEY" not in said
    assert said.rstrip().endswith("True")


def test_what_descends_from_a_dead_server_is_found_by_its_marker() -> None:
    argv = [
        sys.executable,
        "-c",
        "import os, time\nif os.fork():\n    os._exit(0)\nos.setsid()\nprint(os.getpid(), flush=True)\ntime.sleep(600)",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, MARKER: "marker-of-this-test"})
    assert process.stdout is not None
    with process.stdout:
        orphan = int(process.stdout.readline())
    process.wait()
    assert is_alive(orphan)
    assert kill_marked("marker-of-this-test", tuple)
    assert not is_alive(orphan)


@given(st.lists(st.binary(max_size=50)), st.integers(0, 40), st.integers(1, 40))
def test_a_log_is_its_head_its_tail_and_a_count_of_the_rest(parts: list[bytes], head: int, tail: int) -> None:
    log, whole = CappedLog(head, tail), b"".join(parts)
    for part in parts:
        log.feed(part)
    left_out = max(0, len(whole) - head - tail)
    between = f"\n[... {left_out} bytes left out ...]\n".encode() if left_out else b""
    expected = whole[:head] + between + whole[head:][-tail:]
    assert log.total_bytes == len(whole)
    assert log.text == expected.decode("utf-8", "replace")


def test_the_last_line_is_the_last_that_says_something() -> None:
    log = CappedLog()
    assert log.last_line == ""
    log.feed(b"Traceback:\nValueError: no\n\n  \n")
    assert log.last_line == "ValueError: no"
