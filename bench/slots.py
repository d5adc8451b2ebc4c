"""How busy the slots are while a slow LLM writes: replies take 15 s, evaluations 10 s, in a clock that runs faster.

python -m bench.slots [--speed 20] [--evaluations 40]
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from archive import Archive, Settings
from evolve import Budget, Mix, Schedule, Search, Tournament
from evolve.mix import Share
from evolve.progress import Silent
from fitness.evaluator import unreported
from genome import Call, Evaluation, Genome, Individual
from llm_mutator.operators import Edit
from llm_mutator.scripted import Scripted
from tests.parts import Arithmetic, make_task

REPLY_S, EVALUATION_S = 15.0, 10.0


class Slow(Arithmetic):
    """An evaluator that takes its time, and notes when it began and ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.spans: list[tuple[float, float]] = []

    def evaluate(
        self,
        genome: Genome,
        *,
        seed: int,
        slot: int,
        workspace: Path,
        report: object = unreported,
        cancel: threading.Event | None = None,
    ) -> Evaluation:
        began = time.monotonic()
        time.sleep(self.seconds)  # stands for a training run: nothing is decided by it
        result = super().evaluate(genome, seed=seed, slot=slot, workspace=workspace)
        self.spans.append((began, time.monotonic()))
        return result


class Waiting(Silent):
    """Notes how many offspring wait for a slot at most."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.most = 0

    def started(self, slot: int, individual: Individual, purpose: str) -> None:
        self.most = max(self.most, len(self._archive.waiting()))


def fresh_edits() -> Callable[[Call], str]:
    """Return a script whose every reply is an edit that was never there before, so that no retry takes time."""
    number = itertools.count(1)

    def reply(call: Call) -> str:
        found = re.search(r"^A = .*$", call.messages[1]["content"], re.MULTILINE)
        assert found is not None  # the parent stands in every prompt
        block = (
            f"train.py\n<<<<<<< SEARCH\n{found.group(0)}\n=======\nA = {1 / (next(number) + 1):.9f}\n>>>>>>> REPLACE"
        )
        return f"IDEA: a smaller A\n{block}\n"

    return reply


def busy_share(slots: int, lookahead: int, speed: float, evaluations: int) -> tuple[float, int]:
    """Return the share of slot time that is busy after the first evaluation, and how many offspring waited at most."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.open(Path(folder) / "run", make_task(Path(folder)), Settings())
        evaluator, watch = Slow(EVALUATION_S / speed), Waiting(archive)
        llm = Scripted(fresh_edits(), seconds=REPLY_S / speed)
        Search(
            archive,
            evaluator,
            Mix({"edit": Share(Edit(llm), 1.0)}),
            Tournament(),
            Budget(evaluations=evaluations * slots),
            workspaces=archive.folder / "w",
            schedule=Schedule(lookahead),
            slots=slots,
            callers=4 * slots,
            llm=llm,
            observer=watch,
        ).run()
        lost = archive.counts().abandoned
        archive.close()
    if lost:
        raise RuntimeError(f"{lost} births failed; the script is meant to have none")
    spans = sorted(evaluator.spans)[1:]
    # from the moment the first birth was evaluated to the last start, when the budget still feeds every slot
    start, end = spans[0][0], max(began for began, _ in spans)
    busy = sum(max(0.0, min(ended, end) - max(began, start)) for began, ended in spans)
    return busy / (slots * (end - start)), watch.most


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed", type=float, default=20.0, help="how much faster than real the clock runs")
    parser.add_argument("--lookahead", type=int, default=Schedule().lookahead, help="as schedule.lookahead")
    parser.add_argument("--evaluations", type=int, default=40, help="for each slot")
    arguments = parser.parse_args()
    print(f"{'slots':>6} {'busy':>7} {'waiting at most':>16}")
    for slots in (1, 4):
        share, waiting = busy_share(slots, arguments.lookahead, arguments.speed, arguments.evaluations)
        print(f"{slots:>6} {share:>7.1%} {waiting:>16}")


if __name__ == "__main__":
    main()
