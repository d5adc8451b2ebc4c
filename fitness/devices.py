"""Where evaluations run: the cores of each slot and the name of the device."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def slot_cores(slot: int) -> tuple[int, ...]:
    """Return the core that a slot is pinned to; slots beyond the machine's cores share them.

    One core each: two one-thread runs get further than one two-thread run, and a CPU clock then measures both.
    """
    cores = sorted(os.sched_getaffinity(0))
    return (cores[slot % len(cores)],)


def cpu_model() -> str:
    """Return the processor's name, such as "cpu Intel(R) Xeon(R) Platinum 8481C"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu {names[0] if names else platform.machine()}"
