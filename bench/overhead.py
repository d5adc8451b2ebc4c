"""The engine's own cost: archived individuals per second with an instant evaluator and an instant operator.

python -m bench.overhead [--at 1000 10000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from archive import Archive, Settings
from evolve import Budget, Mix, Search, Tournament
from evolve.mix import Share
from tests.parts import Arithmetic, Step, make_task

FILE_BYTES = 26_000  # upstream's train.py
WINDOW = 500  # individuals over which a rate is taken


def padded_text() -> str:
    """Return a program of upstream's bulk (26 kB, 3,840 nodes) that begins with the numbers the operator moves."""
    text = "A = 1.0\nB = 1.0\nC = 1.0\n"
    line = 0
    while len(text) < FILE_BYTES:
        line += 1
        text += f"def helper_{line}(value, other=None):\n    # a comment, in places\n"
        text += "    return value if other is None else value + other * 0\n\n\n"
    return text


def main() -> None:
    """Print the rate at each mark, in wall and in CPU time of the whole process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", type=int, nargs="+", default=[1_000, 10_000])
    marks = sorted(parser.parse_args().at)
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.open(Path(folder) / "run", make_task(Path(folder), padded_text()), Settings())
        print(f"{'individuals':>12} {'per second':>11} {'per CPU-second':>15}")
        for mark in marks:
            for goal in (mark - WINDOW, mark):
                wall, cpu = time.perf_counter(), time.process_time()
                mix = Mix({"step": Share(Step(), 1.0)})
                budget = Budget(evaluations=goal)
                Search(archive, Arithmetic(), mix, Tournament(), budget, workspaces=archive.folder / "w").run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{mark:>12} {WINDOW / wall:>11.0f} {WINDOW / cpu:>15.0f}")
        archive.close()


if __name__ == "__main__":
    main()
