"""The engine's side of a fork server: one request at a time, watched, measured and ended from outside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from fitness.channel import Gone, receive, send
from fitness.process import MARKER, CappedLog, Tree, descendants, kill_marked, spawn

TICK_S = 0.05  # how often a running tree is measured when it says nothing
PIPE_BYTES = 1 << 20
START_TIMEOUT_S = 180.0  # a cold import of torch on a loaded machine takes a while
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc keeps what torch frees instead of giving it back page by page: 5 % of a training step
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
}
# huge pages save a fifth of an answer's time; not for training, whose first run would then be slower than its next
ROLE_ENVIRONMENT: dict[str, dict[str, str]] = {"train": {}, "answer": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}}


class Output(Protocol):
    """Where the bytes of a child's hand-over descriptor go; bounded."""

    def drain(self, fd: int) -> bool:
        """Read once from a descriptor that is ready; return False at its end.

        Raises:
            Overflow: there is more than the bound.
        """
        ...


class Overflow(Exception):
    """A child wrote more to its hand-over than it may."""


@dataclass(frozen=True)
class Ending:
    """How a request ended.

    Attributes:
        reason: "ended" when the child did by itself, "server" when its server died, else what `watch` said.
        code: exit code, negative for a signal; None when it was killed from here.
        cpu_s: CPU-seconds of the whole tree, measured from outside.
        left_behind: processes still alive when the child had ended.
    """

    reason: str
    code: int | None
    cpu_s: float
    wall_s: float
    peak_memory_mb: float
    left_behind: int


Watch = Callable[[float, float], str | None]  # CPU-seconds and wall seconds so far -> why to end it, or None


class Server:
    """One fork server, started when first needed and again when it died.

    Args:
        role: "train" or "answer".
        prefix: arguments before the interpreter's: a sandbox.
    """

    def __init__(self, role: str, prefix: Sequence[str] = ()) -> None:
        self.role = role
        self._prefix = tuple(prefix)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start it where it is not running, without waiting until it is warm."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        self._marker = uuid.uuid4().hex
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        self._channel, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[1])
        self._process = spawn(
            [*self._prefix, sys.executable, "-P", "-m", "fitness.forkserver", self.role],
            env={**ENVIRONMENT, **ROLE_ENVIRONMENT[self.role], "PYTHONPATH": root, MARKER: self._marker},
            stdin=theirs.fileno(),
            log=self._log,
        )
        theirs.close()

    def run(self, request: Mapping[str, Any], payload: bytes, output: Output, log: CappedLog, watch: Watch) -> Ending:
        """Have a child do the request's work; return when it and all it started are gone.

        Raises:
            RuntimeError: the server does not start.
            Overflow: the child wrote too much to its hand-over; it is gone.
        """
        self._await_ready()
        log_fd, child_log = os.pipe()
        output_fd, child_output = os.pipe()
        try:
            fcntl.fcntl(output_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            with contextlib.suppress(Gone):  # met again, and told, where the ending is read
                send(self._channel, dict(request), payload, [child_log, child_output])
            os.close(child_log)
            os.close(child_output)
            return self._follow(log_fd, output_fd, output, log, watch)
        finally:
            os.close(log_fd)
            os.close(output_fd)

    def stop(self) -> None:
        """End it and everything below it; may be called again."""
        if self._process is None:
            return
        if self._process.poll() is None and self._ready:
            self._tree.kill(patience_s=1.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # what it had adopted, should it have died first
        kill_marked(self._marker, self._tree.strays if self._ready else tuple)
        self._channel.close()
        self._log.close()
        self._process, self._ready = None, False

    def _await_ready(self) -> None:
        self.start()
        assert self._process is not None
        if self._ready:
            return
        try:
            self._channel.settimeout(START_TIMEOUT_S)
            receive(self._channel)
            self._channel.settimeout(None)
        except Gone:
            self._log.seek(0)
            said = CappedLog()
            said.feed(self._log.read())
            self.stop()
            raise RuntimeError(
                f"the {self.role} server does not start: {said.last_line or 'it says nothing'}"
            ) from None
        # a sandbox has processes of its own above the server
        below = list(descendants(self._process.pid))
        self._tree = Tree(below[-1] if below else self._process.pid)
        self._ready = True

    def _follow(self, log_fd: int, output_fd: int, output: Output, log: CappedLog, watch: Watch) -> Ending:
        self._tree.restart()
        began = time.monotonic()
        reason, code, left_behind = "server", None, 0
        pipes = _Pipes(log_fd, output_fd, output, log, self._channel)
        try:
            try:
                reason, code = self._until_it_ends(pipes, watch, began)
                left_behind = len(self._tree.alive()) if reason == "ended" else 0
            finally:
                self._clear(code is not None)
            pipes.rest()
        finally:
            pipes.close()
        cpu_s = self._tree.sample()
        peak_mb = self._tree.peak_rss_bytes / 2**20
        return Ending(reason, code, cpu_s, time.monotonic() - began, peak_mb, left_behind)

    def _until_it_ends(self, pipes: _Pipes, watch: Watch, began: float) -> tuple[str, int | None]:
        measured = 0.0
        while True:
            busy = pipes.once(TICK_S)
            if pipes.message:
                try:
                    header, _, _ = receive(self._channel)
                    return "ended", int(header["ended"])
                except Gone:
                    return "server", None
            now = time.monotonic()
            if busy or now - measured >= TICK_S:
                measured = now
                reason = watch(self._tree.sample(), now - began)
                if reason is not None:
                    return reason, None

    def _clear(self, told: bool) -> None:
        """Kill what is left; replace the server where it is dead or does not obey."""
        clean = self._tree.kill()
        try:
            if not told and clean:
                self._channel.settimeout(5.0)
                receive(self._channel)
                self._channel.settimeout(None)
        except Gone:
            clean = False
        assert self._process is not None
        if not clean or self._process.poll() is not None:
            self.stop()


class _Pipes:
    """Reads the child's log and hand-over as they come, and notices a message of the server."""

    def __init__(self, log_fd: int, output_fd: int, output: Output, log: CappedLog, channel: socket.socket) -> None:
        self._log, self._output = log, output
        self._open = {log_fd: self._read_log, output_fd: output.drain}
        self._selector = selectors.DefaultSelector()
        for fd in self._open:
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ)
        self._channel = channel
        self._selector.register(channel, selectors.EVENT_READ)
        self.message = False

    def once(self, timeout_s: float) -> bool:
        """Wait for something and read it; return whether there was a hand-over."""
        busy = False
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._channel:
                self.message = True
            else:
                busy |= self._read(key.fd) and self._open.get(key.fd) == self._output.drain
        return busy

    def rest(self) -> None:
        """Read what is still in the pipes; all writers are gone."""
        for fd in list(self._open):
            while self._read(fd):
                pass

    def close(self) -> None:
        self._selector.close()

    def _read(self, fd: int) -> bool:
        try:
            more = self._open[fd](fd)
        except BlockingIOError:
            return False
        if not more:
            self._selector.unregister(fd)
            del self._open[fd]
        return more

    def _read_log(self, fd: int) -> bool:
        data = os.read(fd, 1 << 16)
        self._log.feed(data)
        return bool(data)
