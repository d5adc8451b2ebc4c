"""What the archive's tests share: a small task, births and results in a line each."""

from __future__ import annotations

from pathlib import Path

from archive import Archive, Settings
from genome import Evaluation, Failure, Genome, Individual, Objective, Offspring, Task

SEED = "LR = 0.1\nSTEPS = 100\n\n\ndef train(model, data):\n    for batch in data:\n        model.step(batch, LR)\n"


def genome(text: str) -> Genome:
    return Genome({"train.py": text})


def task(name: str = "toy", direction: str = "minimize", seed: str = SEED) -> Task:
    return Task(name, Path("program.md"), genome(seed), Objective("val_bpb", direction))  # type: ignore[arg-type]


def variant(number: int, extra: int = 0) -> Genome:
    """Return a genome of its own for each number, `extra` statements larger than the seed."""
    return genome(SEED.replace("100", str(1000 + number)) + "x = 1\n" * extra)


def scored(score: float, *, seed: int = 0, verified: bool = True, device: str = "cpu", log: str = "") -> Evaluation:
    return Evaluation(score, None, 1.0, seed, verified, device, {"steps": 10.0}, log)


def failed(kind: str = "crash", detail: str = "it broke", log: str = "") -> Evaluation:
    return Evaluation(None, Failure(kind, detail), 1.0, 0, True, log=log)


def run(archive: Archive, individual: int, result: Evaluation, purpose: str = "first") -> Individual:
    """Evaluate an individual, with this result."""
    return archive.finish_evaluation(archive.start_evaluation(individual, result.seed, 0, purpose), result)


def born(
    archive: Archive,
    parents: tuple[int, ...] = (1,),
    text: Genome | None = None,
    idea: str = "an idea",
    op: str = "tune",
) -> Individual:
    """Conceive and bear an individual; by default one that differs from all others."""
    birth = archive.conceive(op, parents)
    return archive.bear(birth, Offspring(text or variant(birth), op, parents, idea))


def started(folder: Path, **settings: float) -> Archive:
    """Open an archive whose seed scored 2.0."""
    archive = Archive.open(folder, task(), Settings(**settings))  # type: ignore[arg-type]
    if archive.waiting():
        run(archive, 1, scored(2.0))
    return archive
