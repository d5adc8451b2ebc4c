"""Real but instant parts of a search, shared by tests and benchmarks: a task, an evaluator, an operator."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitness.evaluator import Cancelled
from genome import Evaluation, Failure, Genome, Individual, Lore, Offspring, Task

SEED_TEXT = "A = 1.0\nB = 1.0\nC = 1.0\nUNUSED = 3\n"


def make_task(folder: Path, text: str = SEED_TEXT) -> Task:
    brief = folder / "program.md"
    brief.write_text("Make it smaller and better.\n")
    return Task("toy", brief, Genome({"train.py": text}))


class Step:
    """Mutation that moves one top-level number; every birth is a new genome."""

    name = "step"
    arity = 1

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring:
        (parent,) = parents
        lines = parent.genome.files["train.py"].splitlines()
        at = int(rng.integers(3))
        lines[at] = f"{'ABC'[at]} = {float(rng.random()):.12f}"
        return Offspring(Genome({"train.py": "\n".join(lines) + "\n"}), self.name, (parent.id,), f"move {'ABC'[at]}")


class Arithmetic:
    """An evaluator whose score is the sum of squares of the genome's numbers, with noise from the run's seed.

    Args:
        sigma: spread of the noise.
        fails: share of genomes that crash, decided by their digest; the seed only crashes when all do.
        gate: when given, an evaluation waits for it (or for its cancellation).
        on_call: told the individual's text at each evaluation, in the slot's thread.
    """

    device = "toy"

    def __init__(
        self,
        sigma: float = 0.0,
        fails: float = 0.0,
        gate: threading.Event | None = None,
        on_call: Callable[[Genome, int], None] | None = None,
    ) -> None:
        self.sigma = sigma
        self.fails = fails
        self.gate = gate
        self.on_call = on_call
        self.calls = 0

    def prepare(self) -> None: ...

    def close(self) -> None: ...

    def evaluate(
        self,
        genome: Genome,
        *,
        seed: int,
        slot: int,
        workspace: Path,
        report: Callable[[float], None] = lambda share: None,
        cancel: threading.Event | None = None,
    ) -> Evaluation:
        self.calls += 1
        if self.on_call is not None:
            self.on_call(genome, seed)
        while self.gate is not None and not self.gate.wait(0.01):
            if cancel is not None and cancel.is_set():
                raise Cancelled
        report(1.0)
        unlucky = int(genome.digest[:8], 16) / 16**8 < self.fails
        if self.fails == 1 or (unlucky and genome.files["train.py"] != SEED_TEXT):
            return Evaluation(None, Failure("crash", "unlucky digest"), 0.0, seed, True, self.device)
        lines = genome.files["train.py"].splitlines()[:4]
        numbers = [float(line.split("=")[1]) for line in lines if line[1:4] == " = "]
        score = sum(number**2 for number in numbers) + self.sigma * float(np.random.default_rng(seed).normal())
        return Evaluation(score, None, 0.0, seed, True, self.device)


class DeadlyStep(Step):
    """Kills the engine while it breeds, at the birth with this number."""

    def __init__(self, at: int) -> None:
        self.at = at

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring:
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().breed(parents, lore, rng)


class DeadlyArithmetic(Arithmetic):
    """Kills the engine at the evaluation with this number: while it runs, or while its result is being stored."""

    def __init__(self, at: int, storing: bool) -> None:
        super().__init__()
        self.at = at
        self.storing = storing

    def evaluate(self, genome: Genome, *, seed: int, **where: Any) -> Evaluation:
        result = super().evaluate(genome, seed=seed, **where)
        if self.calls != self.at:
            return result
        if not self.storing:
            os.kill(os.getpid(), signal.SIGKILL)
        return dataclasses.replace(result, metrics=_Deadly())


class _Deadly(dict[str, float]):
    """Metrics that kill whoever reads them, which the archive does in the middle of its transaction."""

    def __iter__(self) -> Iterator[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        return iter(())

    def keys(self) -> Any:
        return iter(self)

    def items(self) -> Any:
        return iter(self)
