"""A process with torch imported and warm that forks one child per request: `python -m fitness.forkserver ROLE`.

Its standard input is the channel to the engine (see fitness.channel). It adopts the orphans of its children, so
that everything they start stays below it; the engine measures and kills from outside. It ends, and all below it,
when the engine does. It never unpickles: its children do, one per request.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import resource
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from fitness.channel import Gone, receive, send
from fitness.process import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, Tree, prctl

FORGOTTEN_FD = 4  # the child keeps 0, 1, 2 and the hand-over; everything from here on is closed
ROLES = ("train", "answer")


def main() -> None:
    """Serve until the channel ends."""
    role = sys.argv[1]
    engine = os.getppid()
    signal.signal(signal.SIGTERM, _end)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != engine:
        return
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    channel = socket.socket(fileno=0)
    work = _warm(role)
    send(channel, {"ready": os.getpid()})
    _serve(channel, work)


def _end(number: int, frame: FrameType | None) -> None:
    Tree(os.getpid()).kill()
    os._exit(0)


def _warm(role: str) -> ModuleType:
    """Import and touch everything that a child would otherwise pay for, and return the module with the work."""
    import torch

    from fitness.harness import child, warm_up

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    if role == "train":
        warm_up.training_step()
    else:
        # a model may name the harness's functions: here they are the untouched ones
        sys.modules["prepare"] = _prepare_module()
        warm_up.forward_pass()
    gc.collect()
    gc.freeze()  # the collector then leaves the shared pages of the children alone
    return child


def _prepare_module() -> ModuleType:
    path = Path(__file__).parent / "harness" / "prepare.py"
    spec = importlib.util.spec_from_file_location("prepare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _serve(channel: socket.socket, work: ModuleType) -> None:
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    running: int | None = None
    try:
        while True:
            ready, _, _ = select.select([channel.fileno(), wake_read], [], [])
            if wake_read in ready:
                os.read(wake_read, 512)
            for pid, status, usage in _reap():
                if pid == running:
                    running = None
                    code = os.waitstatus_to_exitcode(status)
                    send(channel, {"ended": code, "peak_memory_mb": usage.ru_maxrss / 1024})
            if channel.fileno() in ready:
                running = _fork(channel, work)
    except Gone:
        _end(0, None)


def _reap() -> list[tuple[int, int, resource.struct_rusage]]:
    """Return what has ended below this process, adopted orphans included."""
    ended: list[tuple[int, int, resource.struct_rusage]] = []
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status, usage))


def _fork(channel: socket.socket, work: ModuleType) -> int:
    request, payload, fds = receive(channel)
    if len(fds) != 2:
        raise Gone(f"a request brings two descriptors; got {len(fds)}")
    log, hand_over = fds
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _become_child(server, request, log, hand_over)
            status = work.train(request) if request["work"] == "train" else work.answer(request, payload)
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001 - a fork must never return into the server's loop
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(log)
    os.close(hand_over)
    return pid


def _become_child(server: int, request: dict[str, Any], log: int, hand_over: int) -> None:
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for wanted, fd in ((1, log), (2, log), (3, hand_over)):
        os.dup2(fd, wanted)
    os.closerange(FORGOTTEN_FD, os.sysconf("SC_OPEN_MAX"))
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.sched_setaffinity(0, request["cores"])
    for name, value in request["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))


if __name__ == "__main__":
    main()
