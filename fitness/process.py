"""Processes that can be measured, capped and ended from outside, with everything they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MARKER = "GENEPOOL_SERVER"  # in the environment block of a server, and so of all that descends from it
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# the death of the *thread* that started a child counts as its parent's death (prctl(2)): one thread starts them
# all and lives as long as the engine
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], stdin: int | IO[bytes], log: IO[bytes], cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with this environment and nothing else of ours."""
    return _SPAWNER.submit(
        subprocess.Popen, argv, env=dict(env), stdin=stdin, stdout=log, stderr=log, cwd=cwd, start_new_session=True
    ).result()


def prctl(option: int, value: int) -> None:
    """Set a property of the calling process; see prctl(2).

    Raises:
        OSError: the kernel refused.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


@dataclass(frozen=True)
class Stat:
    """One process as /proc shows it; times in CPU-seconds, reaped_s that of its children already reaped."""

    pid: int
    start: int
    own_s: float
    reaped_s: float
    rss_bytes: int


def read_stat(pid: int) -> Stat | None:
    """Return the process, or None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name may hold spaces and parentheses: fields count from the last one
    field = text[text.rindex(")") + 2 :].split()
    user, system, reaped_user, reaped_system = (int(field[i]) / _TICKS for i in (11, 12, 13, 14))
    return Stat(pid, int(field[19]), user + system, reaped_user + reaped_system, int(field[21]) * _PAGE)


def children(pid: int) -> list[int]:
    """Return the processes that any thread of this one started and that are not reaped; [] when it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield all processes below this one, each before its own children; zombies included."""
    waiting, met = children(pid), {pid}
    while waiting:
        child = waiting.pop()
        if child not in met:
            met.add(child)
            yield child
            waiting += children(child)


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Tree:
    """The processes below a root that adopts its orphans (a child subreaper), measured from outside.

    CPU time is what the root has reaped since `restart`, plus the living. Where a parent throws its children's
    times away (SIGCHLD ignored), each process counts with what was last seen of it.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.restart()

    def restart(self) -> None:
        """Count from here on."""
        stat = read_stat(self.root)
        self._base_s = stat.reaped_s if stat else 0.0
        self._seen: dict[tuple[int, int], float] = {}
        self.cpu_s = 0.0
        self.peak_rss_bytes = 0

    def sample(self) -> float:
        """Return the CPU-seconds used so far by all that the root started since `restart`."""
        root = read_stat(self.root)  # before its children: one that is reaped meanwhile is missed once, never doubled
        if root is None:
            return self.cpu_s
        total, rss = root.reaped_s - self._base_s, 0
        for pid in descendants(self.root):
            stat = read_stat(pid)
            if stat is not None:
                total += stat.own_s + stat.reaped_s
                rss += stat.rss_bytes
                self._seen[pid, stat.start] = stat.own_s
        self.peak_rss_bytes = max(self.peak_rss_bytes, rss)
        self.cpu_s = max(self.cpu_s, total, sum(self._seen.values()))
        return self.cpu_s

    def alive(self) -> list[int]:
        """Return what is below the root, zombies not counted."""
        return [pid for pid in descendants(self.root) if is_alive(pid)]

    def strays(self) -> list[int]:
        """Return what was seen below the root and is still alive, even where the root is gone."""
        seen = ((pid, start, read_stat(pid)) for pid, start in self._seen)
        return [pid for pid, start, stat in seen if stat is not None and stat.start == start and is_alive(pid)]

    def kill(self, patience_s: float = 5.0) -> bool:
        """Kill everything below the root and wait until the root has reaped it; return whether nothing is left."""
        deadline = time.monotonic() + patience_s
        pause_s = 0.0002
        while pids := list(descendants(self.root)):
            # stopped first, so that nothing forks while the list is worked through
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    signal_quietly(pid, number)
            if time.monotonic() > deadline:
                return False
            time.sleep(pause_s)
            pause_s = min(0.02, pause_s * 2)
        return True


def kill_marked(marker: str, strays: Callable[[], Iterable[int]], patience_s: float = 5.0) -> bool:
    """Kill every process that descends from the server with this marker; for when the server itself is gone."""
    entry, deadline = f"{MARKER}={marker}".encode(), time.monotonic() + patience_s
    found: set[int] = set()
    while time.monotonic() < deadline:
        # one that is dying shows no environment any more, but is not gone
        found = {*_marked(entry), *filter(is_alive, found), *strays()}
        if not found:
            return True
        for pid in found:
            signal_quietly(pid, signal.SIGKILL)
        time.sleep(0.002)
    return False


def _marked(entry: bytes) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # gone, or another user's
                if entry in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    yield int(name)


def is_alive(pid: int) -> bool:
    """Return whether there is such a process that is no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] not in "ZX"


class CappedLog:
    """What a process prints, kept by its head and its tail; the bytes between are counted and dropped."""

    def __init__(self, head_bytes: int = 16_384, tail_bytes: int = 16_384) -> None:
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._head, self._tail = bytearray(), bytearray()
        self.total_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self.total_bytes += len(data)
        room = self._head_bytes - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * self._tail_bytes:
            del self._tail[: -self._tail_bytes]

    @property
    def text(self) -> str:
        """Head and tail as text, with a line in between that counts what was left out."""
        tail = bytes(self._tail[-self._tail_bytes :])
        left_out = self.total_bytes - len(self._head) - len(tail)
        between = f"\n[... {left_out} bytes left out ...]\n".encode() if left_out else b""
        return (bytes(self._head) + between + tail).decode("utf-8", "replace")

    @property
    def last_line(self) -> str:
        """The last line that is not blank, at most 300 characters; "" for none."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""
