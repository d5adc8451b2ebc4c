"""One run of one genome: the slot and the folder that it has, and what is noted of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fitness.evaluator import Cancelled, unreported
from fitness.process import CappedLog
from fitness.servers import ENVIRONMENT, Ending, Server


@dataclass
class Slot:
    """Servers, cores and memory of one evaluation at a time."""

    train: Server
    answer: Server
    cores: tuple[int, ...]
    _logits: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))

    def room(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Return memory for logits, as before where it fits: fresh pages would cost more than reading."""
        if self._logits.shape != shape:
            self._logits = np.empty(shape, np.float32)
        return self._logits


@dataclass(frozen=True)
class Attempt:
    """One run of one genome: where it runs and what is noted of it."""

    slot: Slot
    workspace: Path
    seed: int
    report: Callable[[float], None] = unreported
    cancel: threading.Event | None = None
    log: CappedLog = field(default_factory=CappedLog)
    metrics: dict[str, float] = field(default_factory=dict)

    def called_off(self, wall_s: float, timeout_s: float) -> str | None:
        """Return why to end a process whatever it does, or None."""
        if self.cancel is not None and self.cancel.is_set():
            return "cancel"
        return "wall" if wall_s > timeout_s else None

    def check_cancelled(self, ending: Ending) -> None:
        """Raise Cancelled where that is how it ended."""
        if ending.reason == "cancel":
            raise Cancelled("the evaluation was called off")

    def child(self, cpu_s: float, memory_mb: int) -> dict[str, object]:
        """Return the surroundings of a process of this run; its CPU limit is for when the watch itself is held up."""
        folder = str(self.workspace.resolve())
        limits = {
            "RLIMIT_AS": memory_mb << 20,
            "RLIMIT_FSIZE": 64 << 20,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": int(cpu_s) + 3,
        }
        environment = {**ENVIRONMENT, "HOME": folder, "TMPDIR": folder}
        return {"folder": folder, "cores": self.slot.cores, "environment": environment, "limits": limits}


def empty(folder: Path) -> None:
    """Remove what stands in a folder; links are removed, not followed."""
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
