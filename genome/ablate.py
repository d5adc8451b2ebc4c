"""Ablate: one part of a program goes, with all that used it and all that only it used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genome.candidates import SMALL, Candidate, candidates
from genome.deletion import Deletion
from genome.genome import Genome, GenomeError
from genome.individual import Individual, Offspring
from genome.operator import Lore, NoOffspring
from genome.repair import repair, sweep, unused
from genome.soundness import Facts, compiles, exports, facts
from genome.source import Source

TRIES = 60
REMEMBERED = 2_000  # deletions whose outcome is kept
ROUNDS = 8  # of taking out uses, and again of taking out what became unused
LARGEST = 0.25  # share of the size that one birth may take, uses included
Result = tuple[Genome, str] | None
KEEP = ("backward", "step", "progress", "make_dataloader", "evaluate_bpb")


class Ablate:
    """Mutation that deletes: a statement, a branch, an argument, a wrapper, a term, or a definition with its uses.

    What nothing in the program uses is eight times as likely to go; beyond that the chance grows with the root of
    the nodes saved. The result compiles, and reads no name or attribute that its parent provided and it does not.

    Args:
        keep: functions and methods whose last call never goes: a program without them is no training run of the task.
    """

    name = "ablate"
    arity = 1

    def __init__(self, keep: Sequence[str] = KEEP) -> None:
        self.keep = tuple(keep)
        self._done: dict[tuple[str, int], Result] = {}  # a good parent is met again and again

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Offspring:
        """Return a smaller offspring that was never born before."""
        (parent,) = parents
        found = [
            (path, known, candidate)
            for path, text in parent.genome.files.items()
            if path.endswith(".py")
            for known in (facts(text, exports(parent.genome, path)),)
            for candidate in candidates(known)
        ]
        if not found:
            raise NoOffspring(f"#{parent.id} holds no Python that could be deleted")
        # the largest of u^(1/w) first: a draw without replacement by weight
        keys = rng.random(len(found)) ** (1.0 / np.array([c.weight for *_, c in found]))
        for at in np.argsort(-keys, kind="stable")[:TRIES].tolist():
            path, known, candidate = found[at]
            born = self._ablated(parent.genome, path, known, candidate, at)
            if born is not None and not lore.seen(born[0]):
                return Offspring(born[0], self.name, (parent.id,), born[1])
        raise NoOffspring(f"{min(TRIES, len(found))} deletions from #{parent.id} were born before or would not run")

    def _ablated(self, genome: Genome, path: str, known: Facts, candidate: Candidate, number: int) -> Result:
        key = (genome.digest, number)
        if key not in self._done:
            if len(self._done) >= REMEMBERED:
                del self._done[next(iter(self._done))]
            self._done[key] = ablated(genome, path, known, candidate, self.keep)
        return self._done[key]


def ablated(genome: Genome, path: str, before: Facts, candidate: Candidate, keep: Sequence[str] = KEEP) -> Result:
    """Return the genome without one part, and the idea in words; None where it would not run or not be smaller.

    Args:
        before: the facts of the file at path that the candidate was found in.
        keep: functions and methods whose last call never goes.
    """
    plan = Deletion(before.src)
    first = plan.result() if candidate.plan(plan) else None
    if first is None:
        return None
    try:
        repaired = _without_uses(before, first)
        if repaired is None:
            return None
        swept = _without_unused(before, repaired)
        if any(name in before.called and name not in swept.called for name in keep):
            return None
        if not compiles(swept.src.text, path):
            return None
        result = genome.replaced(path, swept.src.text)
    except GenomeError:
        return None
    saved = genome.size - result.size
    if saved <= 0 or saved > max(SMALL, LARGEST * genome.size):
        return None
    more = ("", " with its uses")[repaired.src.text != first]
    more += ("", " and what only it used")[swept is not repaired]
    lines = genome.lines - result.lines
    counted = f"{lines} line{'s' * (lines != 1)}, " if lines else ""
    idea = f"delete {candidate.what}{more} (line {candidate.line}): {counted}{saved} node{'s' * (saved != 1)}"
    return result, idea


def _without_uses(before: Facts, text: str) -> Facts | None:
    """Return the file after taking out, round by round, all that asks for what is gone."""
    for _ in range(ROUNDS):
        now = Facts(Source(text), before.exports)
        broken = [problem for problem in now.problems if problem not in before.problems]
        if not broken:
            return now
        repaired = repair(now, broken)
        if repaired is None:
            return None
        text = repaired
    return None


def _without_unused(before: Facts, now: Facts) -> Facts:
    """Return the file after taking out, round by round, what the parent used and nothing uses any more."""
    known = unused(before)
    for _ in range(ROUNDS):
        dead = {key: nodes for key, nodes in unused(now).items() if key not in known}
        text = sweep(now, dead) if dead else None
        if text is None:
            return now
        after = Facts(Source(text), before.exports)
        if any(problem not in before.problems for problem in after.problems):
            return now
        now = after
    return now
